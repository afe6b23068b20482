# Each target makes the environment that it needs: the active one ($VIRTUAL_ENV) if there is one, else .venv.
# Nothing is installed twice unless pyproject.toml changed. Options: PYTHON=python3.12, VENV=dir, ARGS='...', and CPU=1 for
# PyTorch's build without CUDA, which is small, from TORCH_INDEX.

ifdef VIRTUAL_ENV
VENV = $(VIRTUAL_ENV)
else
VENV = .venv
endif
PYTHON ?= python3 python3.13 python3.12 python3.11
PY = "$(VENV)/bin/python"
SUPPORTED = 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
NO_PYTHON = 'gan-lab needs Python 3.11, 3.12 or 3.13; say where it is: make setup PYTHON=/path/to/python3.12'
NO_VENV = "The venv module of $$found is missing; on Debian and Ubuntu: sudo apt install python3-venv"
OTHER_PYTHON = "The environment in $(VENV) has another Python than 3.11, 3.12 or 3.13"

# Whether what $(1) stands for is installed from this checkout, and since pyproject.toml last changed
installed = test "`cat "$(VENV)/.gan-lab-$(1)" 2>&1`" = "`pwd`" && \
  test -z "`find pyproject.toml -newer "$(VENV)/.gan-lab-$(1)" 2>&1`"
note = pwd > "$(VENV)/.gan-lab-$(1)"

# pip with one line on the screen; its output goes to install.log
install = $(PY) scripts/quietly.py "Installing $(1)" "$(VENV)/install.log" $(PY) -m pip install $(2)
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
HAS_TORCH = 'import importlib.util, sys; sys.exit(not importlib.util.find_spec("torch"))'
CPU_FAILED = "There may be no CPU build for this system: leave out CPU=1, or name another index: TORCH_INDEX=URL"
SIZE = "PyTorch for Linux brings CUDA: about 3 GB to download, 6 GB on disk. Without an NVIDIA GPU, stop and add CPU=1."

.PHONY: help setup setup-dev environment torch demo test slow check bench gpu proofs mutants soak clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: environment torch ## install gan-lab and what it needs; CPU=1: without CUDA
	@$(call installed,base) || { $(call install,gan-lab,--editable .) && $(call note,base); }

demo: setup ## train a small DCGAN on handwritten digits, in 75 seconds
	@$(PY) -m gan_lab train $(ARGS)

test: setup-dev ## run the tests, but for those that take long
	@$(PY) -m pytest --numprocesses auto --maxprocesses 8 $(ARGS)

slow: setup-dev ## run the tests that take long: sweeps that are killed, ranks, every cell
	@$(PY) -m pytest --numprocesses auto --maxprocesses 8 -m 'slow and not gpu' $(ARGS)

check: setup-dev ## lint, format and the direction of imports, in seconds
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m pytest tests/test_layers.py

bench: setup ## measure the speed beside a textbook loop; ARGS=--quick for a shorter look
	@$(PY) scripts/bench.py $(ARGS)
	@$(PY) scripts/bench_data.py

gpu: setup-dev ## show on a GPU what only a GPU can show, in nine minutes; ARGS=--rehearse on a CPU
	@$(PY) scripts/gpu.py $(ARGS)

proofs: setup ## judge each claim of conf/experiment/proof that is new or has changed, beside its control
	@$(PY) scripts/prove.py --all --judge $(ARGS)

mutants: setup-dev ## plant bugs one by one; each must turn a test red
	@$(PY) scripts/mutants.py $(ARGS)

soak: setup ## give the command hostile words and odd stored files; ARGS='lines=900 files=300 seed=7' for more
	@$(PY) scripts/soak.py $(ARGS)

clean: ## remove what building and testing left behind; outputs/ and .venv stay
	@rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	@find gan_lab scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +

setup-dev: environment torch
	@$(call installed,dev) || { \
	  $(call install,gan-lab and its test tools,--editable '.[dev]') && $(call note,base) && $(call note,dev); \
	}

# What is large is said before it is downloaded, and CPU=1 takes the small build first, which pip then keeps
torch: environment
	@$(PY) -c $(HAS_TORCH) || { \
	  if test -n "$(CPU)"; then \
	    $(call install,PyTorch for the CPU (about 200 MB),torch torchvision --index-url $(TORCH_INDEX)) || \
	    { echo $(CPU_FAILED) >&2; exit 1; }; \
	  elif test "`uname -s`" = Linux; then echo $(SIZE); fi; \
	}

environment:
	@test -x $(PY) || { \
	  found=; for each in $(PYTHON); do \
	    if "$$each" -c $(SUPPORTED) 2>/dev/null; then found=$$each; break; fi; \
	  done; \
	  test -n "$$found" || { echo $(NO_PYTHON) >&2; exit 1; }; \
	  "$$found" -c 'import ensurepip, venv' 2>/dev/null || { echo $(NO_VENV) >&2; exit 1; }; \
	  echo "Making a virtual environment in $(VENV); to use it in your shell: . $(VENV)/bin/activate"; \
	  "$$found" -m venv "$(VENV)"; \
	}
	@$(PY) -c $(SUPPORTED) || { echo $(OTHER_PYTHON) >&2; exit 1; }
