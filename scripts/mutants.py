"""Plants bugs, one at a time, in a copy of the repository, and expects a named test file to turn red for each.

Usage: python scripts/mutants.py [word ...]    only the mutants whose name holds one of the words
Ends with 1 if a mutant survives, if a text to replace is gone, or if the tests are red without any mutant.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Mutant:
    """A bug: in `file` the text `old`, which stands there once, becomes `new`; `test` must notice."""

    name: str
    file: str
    old: str
    new: str
    test: str


MUTANTS = [
    Mutant(
        "handed fakes dropped",
        "gan_lab/models/gan.py",
        "self.last_fakes.keep(fake[:: self.generator_batch])",
        "self.last_fakes.keep(0 * fake[:: self.generator_batch])",
        "tests/test_games.py",
    ),
    Mutant(
        "guests left in train mode",
        "gan_lab/models/base.py",
        "guest.eval().requires_grad_(False)",
        "guest.requires_grad_(False)",
        "tests/test_games.py",
    ),
    Mutant(
        "labels swapped",
        "gan_lab/losses/logistic.py",
        "cross_entropy(real, target_real).mean() + cross_entropy(fake, target_fake).mean()",
        "cross_entropy(real, target_fake).mean() + cross_entropy(fake, target_real).mean()",
        "tests/test_losses.py",
    ),
    Mutant(
        "penalty without its root",
        "gan_lab/losses/penalties.py",
        "gradient.flatten(1).norm(dim=1)",
        "gradient.flatten(1).square().sum(dim=1)",
        "tests/test_losses.py",
    ),
    Mutant(
        "lazy penalty not scaled",
        "gan_lab/losses/base.py",
        "p.weight * p.every * p(",
        "p.weight * p(",
        "tests/test_losses.py",
    ),
    Mutant(
        "critic's weights not clamped",
        "gan_lab/models/base.py",
        "self.objective.constrain(getattr(self, name))",
        "pass",
        "tests/test_losses.py",
    ),
    Mutant(
        "seed ignored",
        "gan_lab/noise.py",
        "seed_of(self.seed, *self.place, name)",
        "seed_of(*self.place, name)",
        "tests/test_noise.py",
    ),
    Mutant(
        "every rank draws the same",
        "gan_lab/noise.py",
        "whole[self.shard * shape[0] : (self.shard + 1) * shape[0]]",
        "whole[: shape[0]]",
        "tests/test_noise.py",
    ),
    Mutant(
        "epoch ignored in the order",
        "gan_lab/training/loader.py",
        "seed_of(self.seed, name, number)",
        "seed_of(self.seed, name)",
        "tests/test_loader.py",
    ),
    Mutant(
        "buffers averaged",
        "gan_lab/models/ema.py",
        "mine.copy_(its)",
        "mine.copy_(torch.lerp(mine.float(), its.float(), weight))",
        "tests/test_ema.py",
    ),
    Mutant(
        "half-life in updates",
        "gan_lab/models/ema.py",
        "0.5 ** (new_images / half_life)",
        "0.5 ** (1 / half_life)",
        "tests/test_ema.py",
    ),
    Mutant(
        "optimizer not restored",
        "gan_lab/training/player.py",
        'self.optimizer.load_state_dict(state["optimizer"] | {"param_groups": groups})',
        "pass",
        "tests/test_resume.py",
    ),
    Mutant(
        "average not restored",
        "gan_lab/training/trainer.py",
        'self.ema.load_state_dict(state["ema"])',
        "pass",
        "tests/test_resume.py",
    ),
    Mutant(
        "others not frozen",
        "gan_lab/training/trainer.py",
        "parameter.requires_grad_(False)",
        "parameter.requires_grad_(True)",
        "tests/test_trainer.py",
    ),
    Mutant(
        "clip not applied",
        "gan_lab/training/player.py",
        "if self.clip is not None:",
        "if self.clip is not None and self.clip < 0:",
        "tests/test_trainer.py",
    ),
    Mutant(
        "bad losses let through",
        "gan_lab/training/player.py",
        "finite = agree(all_finite(gradients, loss))",
        "finite = agree(torch.ones_like(loss).bool())",
        "tests/test_trainer.py",
    ),
    Mutant(
        "rehearsal leaves its trace",
        "gan_lab/training/assembly.py",
        "trainer.load_state_dict(before)",
        "pass",
        "tests/test_trainer.py",
    ),
    Mutant(
        "ranks do not agree",
        "gan_lab/training/player.py",
        "finite = agree(all_finite(gradients, loss))",
        "finite = all_finite(gradients, loss)",
        "tests/test_ddp.py",
    ),
    Mutant(
        "checksum not compared",
        "gan_lab/storage/checkpoint.py",
        'if sha256(path) != sidecar["sha256"]:',
        "if False:",
        "tests/test_checkpoint.py",
    ),
    Mutant(
        "checkpoint opened carelessly",
        "gan_lab/storage/checkpoint.py",
        "weights_only=True",
        "weights_only=False",
        "tests/test_checkpoint.py",
    ),
    Mutant(
        "penalties and batch norm let through",
        "gan_lab/losses/base.py",
        "if self.per_sample and self.at == ",
        "if self.couples_batch and self.at == ",
        "tests/test_compat.py",
    ),
    Mutant(
        "categorical codes not read back",
        "gan_lab/models/infogan.py",
        "else cross_entropy(found, code)",
        "else 0.0 * found.sum()",
        "tests/test_codes.py",
    ),
    Mutant(
        "classes of fakes read from real ones",
        "gan_lab/models/auxiliary.py",
        "for logits, beside in critic.second)",
        "for logits, beside in critic.second[:1] * 2)",
        "tests/test_codes.py",
    ),
    Mutant(
        "coarse image forgotten",
        "gan_lab/networks/laplacian.py",
        "return large + self.levels[level](",
        "return self.levels[level](",
        "tests/test_pyramid.py",
    ),
]


def main(words: list[str]) -> int:
    chosen = [m for m in MUTANTS if not words or any(word in m.name for word in words)]
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder) / "repository"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", "outputs", "data", "__pycache__", ".*_cache"))
        failures = 0 if is_green(copy, sorted({m.test for m in chosen})) else 1
        if failures:
            print("The tests are red without any mutant: mend them first.")
            return 1
        print(f"{'planted bug':<40} {'must be noticed by':<28} result")
        for mutant in chosen:
            started = time.monotonic()
            result = verdict(copy, mutant)
            failures += result != "noticed"
            print(f"{mutant.name:<40} {mutant.test:<28} {result}  ({time.monotonic() - started:.0f} s)", flush=True)
    print(f"{len(chosen) - failures} of {len(chosen)} noticed.")
    return int(failures > 0)


def verdict(copy: Path, mutant: Mutant) -> str:
    """What becomes of a mutant: noticed, SURVIVED, or GONE where its text is not there once."""
    path = copy / mutant.file
    source = path.read_text(encoding="utf-8")
    if source.count(mutant.old) != 1:
        return f"GONE: the text stands {source.count(mutant.old)} times in {mutant.file}"
    path.write_text(source.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        return "SURVIVED" if is_green(copy, [mutant.test]) else "noticed"
    finally:
        path.write_text(source, encoding="utf-8")


def is_green(copy: Path, tests: list[str]) -> bool:
    """Whether the fast tests of some files pass on the copy."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):  # 1: a test failed; anything else is no verdict
        raise SystemExit(f"pytest could not run:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
