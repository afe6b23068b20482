"""One thread for each test process, short property tests, and a default float type that no test leaves changed."""

import os
import tempfile
from pathlib import Path

import hypothesis
import pytest
import torch

torch.set_num_threads(1)
# Matplotlib's list of fonts lies in one place: caches that tests empty would need it anew
os.environ.setdefault("MPLCONFIGDIR", str(Path(tempfile.gettempdir(), "gan-lab-tests-matplotlib")))
hypothesis.settings.register_profile("gan_lab", deadline=None, max_examples=25, derandomize=True)
hypothesis.settings.load_profile("gan_lab")


@pytest.fixture
def double():
    """Everything made in this test is float64, so that rounding explains nothing."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
