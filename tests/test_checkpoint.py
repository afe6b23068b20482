"""Checkpoints are whole or not there, newest by step, and never run code."""

import errno
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import textwrap
import time
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from helpers import fingerprint, made

from gan_lab.errors import CheckpointError, ResourceError
from gan_lab.storage import checkpoint
from gan_lab.storage import files as stored


def state_at(step):
    values = torch.arange(1000, dtype=torch.float32) + step
    return {
        "step": step,
        "game": OrderedDict(weight=values, count=torch.tensor(step)),
        "seat/g": {"lr": 0.1, "betas": (0.5, 0.9)},
    }


def filled(folder, *steps, keep=9):
    for step in steps:
        checkpoint.save(folder, state_at(step), keep=keep)
    return folder


def newest(folder):
    """The step of the newest whole checkpoint, after a look at what it holds, and what was said on the way."""
    said = []
    state = checkpoint.load_newest(folder, say=said.append)
    state.pop("schema")
    assert fingerprint(state) == fingerprint(state_at(state["step"]))
    return state["step"], said


# --- Whole or not there ----------------------------------------------------------------------------------------------


def test_what_is_saved_is_what_is_loaded(tmp_path):
    path = checkpoint.save(tmp_path, state_at(7))
    assert path.name == "step-00000007.pt"
    assert newest(tmp_path) == (7, [])
    sidecar = json.loads(path.with_suffix(".json").read_text())
    assert sidecar == {"step": 7, "schema": checkpoint.SCHEMA, "sha256": checkpoint.sha256(path)}


class Fault:
    """Lets the n-th call that touches the disk fail, and records the calls."""

    def __init__(self, monkeypatch, at=None, error=None, half=False):
        self.calls, self.at, self.error, self.half = [], at, error, half
        for owner, name in ((Path, "open"), (torch, "save"), (os, "fsync"), (Path, "replace"), (os, "open")):
            monkeypatch.setattr(owner, name, self.around(name, getattr(owner, name)))

    def around(self, name, real):
        def call(*args, **kwargs):
            self.calls.append(name)
            if len(self.calls) - 1 == self.at:
                if self.half and name == "save":
                    buffer = io.BytesIO()
                    real(args[0], buffer)
                    args[1].write(buffer.getvalue()[: len(buffer.getvalue()) // 2])
                raise self.error
            return real(*args, **kwargs)

        return call


def count_of_calls(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        fault = Fault(patch)
        checkpoint.save(tmp_path / "counted", state_at(1))
    return fault.calls


def test_a_file_is_written_synced_renamed_and_only_then_committed(tmp_path):
    saved = ["open", "save", "fsync", "open", "replace", "open", "fsync"]  # the second open takes the checksum
    committed = ["open", "fsync", "replace", "open", "fsync"]
    calls = count_of_calls(tmp_path)
    # Path.open ends in os.open on some versions of Python and in io.open on others
    assert [c for c in calls if c != "open"] == [c for c in saved + committed if c != "open"]


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "planted"), OSError(errno.ENOSPC, "planted"), KeyboardInterrupt()]
)
def test_a_fault_at_any_call_leaves_an_older_checkpoint_that_loads(tmp_path, error):
    calls = count_of_calls(tmp_path)
    assert len(calls) >= 9
    for at in range(len(calls)):
        folder = filled(tmp_path / f"at-{at}", 1, 2, keep=2)
        with pytest.MonkeyPatch.context() as patch:
            Fault(patch, at, error, half=True)
            with pytest.raises((ResourceError, KeyboardInterrupt)):
                checkpoint.save(folder, state_at(3), keep=2)
        step, said = newest(folder)
        assert step in (2, 3), f"call {at}, {calls[at]}"
        assert said == [] or (step == 2 and "step 3 lacks its sidecar" in said[0])
        if isinstance(error, OSError):
            assert not list(folder.glob("step*.tmp*")), "a save that fails takes its half file away"
        stored.sweep(folder)
        assert not list(folder.glob("*.tmp*"))
        checkpoint.save(folder, state_at(4), keep=2)
        assert newest(folder) == (4, [])


def test_a_naive_save_breaks_under_the_same_fault(tmp_path):
    """The control: written in place, the newest checkpoint is half a file, and the old one is gone."""
    path = tmp_path / "last.pt"
    torch.save(state_at(1), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises((RuntimeError, pickle.UnpicklingError, EOFError, OSError)):
        torch.load(path, weights_only=True)


def test_a_programming_error_is_not_dressed_as_a_full_disk(tmp_path):
    class Raises:
        def __reduce__(self):
            raise RuntimeError("planted")

    filled(tmp_path, 1)
    with pytest.raises(RuntimeError, match="planted"):
        checkpoint.save(tmp_path, {"step": 2, "poison": Raises()})
    assert newest(tmp_path) == (1, [])
    assert not list(tmp_path.glob("*.tmp*"))


@pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_FSIZE")
def test_a_full_disk_is_a_sentence_and_leaves_the_older_checkpoint(tmp_path):
    filled(tmp_path, 1)
    script = f"""
        import resource, signal, torch
        from pathlib import Path
        from gan_lab.storage import checkpoint, files as stored
        from gan_lab.errors import ResourceError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        try:
            checkpoint.save(Path({str(tmp_path)!r}), {{"step": 2, "game": torch.zeros(1_000_000)}})
        except ResourceError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=120)
    assert "The disk is full" in done.stdout, done.stderr
    assert "untouched" in done.stdout
    assert newest(tmp_path) == (1, [])
    assert not list(tmp_path.glob("*.tmp*"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_device_that_is_full_is_a_full_disk(tmp_path, monkeypatch):
    filled(tmp_path, 1)
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda p, *a, **k: real(Path("/dev/full") if ".tmp" in p.name else p, *a, **k))
    with pytest.raises(ResourceError, match="disk is full"):
        checkpoint.save(tmp_path, state_at(2))
    monkeypatch.undo()
    assert newest(tmp_path) == (1, [])


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ResourceError, match="cannot be written: Permission denied"):
        checkpoint.save(tmp_path, state_at(2))


# --- Damaged -----------------------------------------------------------------------------------------------------


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "flipped":
        content[len(content) // 2] ^= 1
    else:
        content = content[: int(len(content) * how)]
    path.write_bytes(content)


@pytest.mark.parametrize("how", [0, 0.01, 0.5, 0.99, "flipped"])
def test_a_damaged_newest_falls_back_and_says_so(tmp_path, how):
    filled(tmp_path, 1, 2, 3)
    damage(tmp_path / "step-00000003.pt", how)
    step, said = newest(tmp_path)
    assert step == 2
    assert len(said) == 1
    assert "step-00000003.pt is damaged" in said[0]
    assert "Falling back" in said[0]


def test_a_flipped_bit_goes_unseen_without_the_checksum(tmp_path):
    """The control: torch itself loads other numbers without a word."""
    path = checkpoint.save(tmp_path, state_at(1))
    at = path.read_bytes().find(state_at(1)["game"]["weight"].numpy().tobytes())
    content = bytearray(path.read_bytes())
    content[at + 2] ^= 64
    path.write_bytes(content)
    loaded = torch.load(path, weights_only=True)
    assert not torch.equal(loaded["game"]["weight"], state_at(1)["game"]["weight"])
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"schema": 1}', '{"step": 3, "schema": "one", "sha256": ""}'])
def test_a_damaged_sidecar_falls_back(tmp_path, text):
    filled(tmp_path, 1, 2)
    (tmp_path / "step-00000002.json").write_text(text)
    step, said = newest(tmp_path)
    assert step == 1
    assert len(said) == 1


def test_a_file_without_its_sidecar_was_never_committed(tmp_path):
    filled(tmp_path, 1, 2)
    (tmp_path / "step-00000002.json").unlink()
    step, (told,) = newest(tmp_path)
    assert step == 1 and "step 2 lacks its sidecar" in told


def test_a_sidecar_without_its_file_falls_back(tmp_path):
    filled(tmp_path, 1, 2)
    (tmp_path / "step-00000002.pt").unlink()
    step, said = newest(tmp_path)
    assert step == 1
    assert "missing" in said[0]


def test_when_all_are_bad_it_is_an_error_and_never_a_fresh_start(tmp_path):
    filled(tmp_path, 1, 2)
    for path in tmp_path.glob("*.pt"):
        damage(path, 0.5)
    with pytest.raises(CheckpointError, match="2 were tried"):
        checkpoint.load_newest(tmp_path, say=lambda line: None)
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        checkpoint.load_newest(tmp_path / "nowhere")


def test_a_newer_schema_asks_for_an_upgrade(tmp_path):
    path = checkpoint.save(tmp_path, state_at(1))
    sidecar = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**sidecar, "schema": checkpoint.SCHEMA + 1}))
    with pytest.raises(CheckpointError, match="newer gan-lab"):
        checkpoint.load(path)


# --- Which, and how many ---------------------------------------------------------------------------------------------


def test_the_newest_is_the_highest_step_whatever_the_clock_says(tmp_path):
    filled(tmp_path, 5, 100, 20)
    now = time.time()
    for i, step in enumerate((100, 20, 5)):
        for suffix in (".pt", ".json"):
            os.utime(tmp_path / f"step-{step:08d}{suffix}", (now + 1000 * i,) * 2)
    assert newest(tmp_path) == (100, [])


def test_the_last_k_are_kept_with_their_sidecars(tmp_path):
    filled(tmp_path, *range(1, 8), keep=3)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        f"step-{s:08d}.{e}" for s in (5, 6, 7) for e in ("json", "pt")
    ]


def test_a_named_checkpoint_is_never_pruned(tmp_path):
    checkpoint.save(tmp_path, state_at(1), name="best")
    filled(tmp_path, 2, 3, 4, keep=2)
    assert checkpoint.load(tmp_path / "best.pt")["step"] == 1
    assert newest(tmp_path) == (4, [])


def test_a_named_checkpoint_prunes_no_other(tmp_path):
    filled(tmp_path, 1, 2, 3, keep=3)
    checkpoint.save(tmp_path, state_at(3), name="best")
    assert [path.name for path in checkpoint.committed(tmp_path)] == [f"step-0000000{step}.pt" for step in (3, 2, 1)]


def test_a_half_file_is_swept_and_nothing_else(tmp_path):
    filled(tmp_path, 1)
    (tmp_path / "step-00000002.tmp4711").write_bytes(b"half")
    (tmp_path / ".step-00000002.json.tmp4711").write_bytes(b"half")
    stored.sweep(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000001.json", "step-00000001.pt"]


# --- Code in a checkpoint --------------------------------------------------------------------------------------------


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


def payloads(marker):
    yield "os.system", Payload(os.system, f"touch {marker}")
    yield "open", Payload(open, str(marker), "w")
    yield "exec", Payload(exec, f"open({str(marker)!r}, 'w')")
    yield "subprocess", Payload(subprocess.check_call, ["touch", str(marker)])
    yield "nested", {"step": 1, "game": {"weight": [torch.zeros(3), Payload(os.system, f"touch {marker}")]}}
    yield "getattr", Payload(getattr, Payload(__import__, "os"), "system")


def commit(path):
    path.with_suffix(".json").write_text(json.dumps({"step": 1, "schema": 1, "sha256": checkpoint.sha256(path)}))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("form", ["zip", "legacy", "pickle", "tar"])
def test_nothing_in_a_checkpoint_is_run(tmp_path, form):
    for name, payload in payloads(tmp_path / "marker"):
        path = tmp_path / f"{name}.pt"
        if form == "zip":
            torch.save(payload, path)
        elif form == "legacy":
            torch.save(payload, path, _use_new_zipfile_serialization=False)
        elif form == "pickle":
            path.write_bytes(pickle.dumps(payload))
        else:
            with tarfile.open(path, "w") as tar:
                content = pickle.dumps(payload)
                for member in ("sys_info", "pickle", "storages", "tensors"):
                    info = tarfile.TarInfo(member)
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
        commit(path)
        with pytest.raises(CheckpointError) as caught:
            checkpoint.load(path)
        assert "weights_only" not in str(caught.value), "no advice to open it all the same"
        assert not (tmp_path / "marker").exists(), name


def test_the_payload_would_run_if_it_were_opened_carelessly(tmp_path):
    """The control."""
    (_, payload), *_ = payloads(tmp_path / "marker")
    pickle.loads(pickle.dumps(payload))
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize("words", [["model=dcgan"], ["loss=wgan_gp", "optimizer=rmsprop"], ["trainer.precision=fp16"]])
def test_a_checkpoint_holds_tensors_and_plain_types_alone(tmp_path, words):
    trainer = made(*words, rounds=2)
    path = checkpoint.save(tmp_path, trainer.state_dict())
    assert torch.serialization.get_unsafe_globals_in_checkpoint(path) == []
    assert set(checkpoint.load(path)) == {"schema", *trainer.state_dict()}


# --- Nothing good is lost for something damaged ----------------------------------------------------------------------


def spoil(folder, *steps):
    for step in steps:
        (folder / f"step-{step:08d}.pt").write_bytes(b"damaged")


def steps_in(folder):
    return sorted(checkpoint.step_of(path) for path in folder.glob("step-*.pt"))


def test_a_good_checkpoint_is_not_pruned_for_damaged_ones(tmp_path):
    filled(tmp_path, 10, 20, 30, 40, keep=4)
    spoil(tmp_path, 30, 40)
    checkpoint.save(tmp_path, state_at(25), keep=2)
    assert steps_in(tmp_path) == [20, 25, 30, 40], "the fresh one and the good one before it stay"
    checkpoint.save(tmp_path, state_at(35), keep=2)
    assert steps_in(tmp_path) == [25, 30, 35, 40]
    assert newest(tmp_path)[0] == 35


def test_the_order_is_by_number_past_eight_digits(tmp_path):
    filled(tmp_path, 99_999_999, 100_000_000, 100_000_001, keep=2)
    assert steps_in(tmp_path) == [100_000_000, 100_000_001]
    assert newest(tmp_path) == (100_000_001, [])


def test_names_are_matched_whole(tmp_path):
    filled(tmp_path, 10, 20, 30, keep=3)
    for suffix in (".pt", ".json"):
        shutil.copy(tmp_path / f"step-00000010{suffix}", tmp_path / f"step-backup{suffix}")
        shutil.copy(tmp_path / f"step-00000010{suffix}", tmp_path / f"step-00000040-old{suffix}")
    assert newest(tmp_path) == (30, [])
    checkpoint.save(tmp_path, state_at(40), keep=1)
    assert sorted(path.stem for path in tmp_path.glob("*.pt")) == ["step-00000040", "step-00000040-old", "step-backup"]


def test_what_was_checked_is_not_read_again(tmp_path, monkeypatch):
    filled(tmp_path, *range(1, 6), keep=3)
    monkeypatch.setattr(checkpoint, "sha256", lambda path, real=checkpoint.sha256: read.append(path) or real(path))
    read = []
    checkpoint.save(tmp_path, state_at(6), keep=3)
    assert len(read) == 1, "only what was just written"


def test_a_folder_that_is_a_file_is_a_sentence(tmp_path):
    (tmp_path / "checkpoints").write_text("not a folder")
    with pytest.raises(ResourceError, match="cannot be written"):
        checkpoint.save(tmp_path / "checkpoints", state_at(1))
