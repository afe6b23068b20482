"""A claim as its YAML states it: the experiment, its control, and the hashes by which both are known again."""

import ast
import hashlib
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from proofs.repository import Repository

from gan_lab.config.compose import compose, own_folders, parsed
from gan_lab.config.overrides import rewritten
from gan_lab.config.settings import Proof
from gan_lab.errors import ConfigError
from gan_lab.wording import meant

TUNING, FIRST_JUDGED = (0, 1, 2), 100  # the seeds to choose numbers with, and the first of those that judge
FIXED = ["trainer.threads=1"]
MEASURES = ("proofs", "gan_lab")  # where a measure may lie
TRAINING = ("gan_lab.launch.launch", "proofs.job")  # what every proof runs, whatever its parts
FREE = {"seed", "run", "trust", "proof", "hydra"}  # what a control may not touch


class Claim:
    """One file of conf/experiment/proof. Raises ConfigError where it breaks a rule of the frame."""

    def __init__(self, name: str, repository: Repository):
        self.name, self.repository = name, repository
        self.file = repository.claims / f"{name}.yaml"
        if not self.file.is_file():
            known = names(repository)
            raise ConfigError(f"there is no proof {name!r}{meant(name, known) or '; there are ' + ', '.join(known)}")
        self.config = self.composed([])
        if self.config["proof"] is None:
            raise ConfigError(f"proof/{name} says nothing under `proof:`: claim, source, measure, threshold, ...")
        self.proof = Proof(**self.config["proof"])
        self.measure_file = measure_file(self.proof.measure, repository)
        self.control = self.composed([one_override(self.proof.control)])
        if settings(self.control) == settings(self.config):
            raise ConfigError(f"proof.control={self.proof.control} changes nothing, so it is no control.")
        self.sides = {"claim": self.config, "control": self.control}
        self.config_hash, self.code_hash = self.hash_config(), self.hash_code()

    @property
    def judged(self) -> list[int]:
        """The seeds that judge it."""
        return judged(self.proof.seeds)

    def words(self, role: str) -> list[str]:
        """The settings of the claim or of its control, as they are typed; the seed comes behind them."""
        return [f"experiment=proof/{self.name}", *FIXED, *([self.proof.control] if role == "control" else [])]

    def composed(self, more: list[str]) -> dict[str, Any]:
        with own_folders([self.repository.conf]):
            return compose([*map(rewritten, [f"experiment=proof/{self.name}", *FIXED]), *more])

    def hash_config(self) -> str:
        """Of all settings of claim and control, the threshold and the measure; not of seed, place and wording."""
        rules = {
            name: value for name, value in self.config["proof"].items() if name not in ("claim", "source", "seeds")
        }
        whole = [settings(self.config), settings(self.control), rules]
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:12]

    def hash_code(self) -> str:
        """Of all code that training and measuring may run, as it is now."""
        targets = {target.rpartition(".")[0] for config in (self.config, self.control) for target in targets_of(config)}
        return self.repository.code([*TRAINING, self.proof.measure.rpartition(".")[0], *targets])

    @property
    def threshold_commit(self) -> str | None:
        """The commit in which the threshold was last changed."""
        return self.repository.commit_of(self.file, r"^ *threshold:")

    def holds(self, figure: float | None) -> bool:
        """Whether a figure lies on the claim's side of the threshold; a run that diverged has none."""
        if figure is None:
            return False
        return figure >= self.proof.threshold if self.proof.better == "higher" else figure <= self.proof.threshold

    def check_committed(self) -> None:
        """ConfigError unless git holds the threshold and the measure as they are: nothing is judged before that."""
        loose = self.repository.uncommitted([self.file, self.measure_file])
        if loose or self.threshold_commit is None:
            raise ConfigError(
                f"{' and '.join(loose or [str(self.file)])} differ from the last commit. What is to be shown is "
                f"committed before it is judged: commit them, or tune with --seeds {TUNING[0]}-{TUNING[-1]}."
            )


def judged(seeds: int) -> list[int]:
    """So many seeds that judge."""
    return list(range(FIRST_JUDGED, FIRST_JUDGED + seeds))


def names(repository: Repository) -> list[str]:
    return sorted(file.stem for file in repository.claims.glob("*.yaml"))


def settings(config: dict[str, Any]) -> dict[str, Any]:
    """What trains: all but the seed, the place and the claim itself; of an experiment in stages each of them."""
    own = {name: value for name, value in config.items() if name not in ("seed", "run", "proof", "stages")}
    stages = {name: settings(stage["config"]) for name, stage in config["stages"].items()}
    return own | ({"stages": stages} if stages else {})


def one_override(control: str) -> str:
    """The control in Hydra's grammar; ConfigError unless it is exactly one setting with one value."""
    try:
        words = shlex.split(control.replace("\\", "\\\\"), posix=False)
    except ValueError:
        words = []
    if len(words) != 1:
        raise ConfigError(f"proof.control={control!r} must be exactly one setting, such as loss=hinge.")
    word = rewritten(control)
    if not word.startswith("~"):
        parsed([word])
    touched = word.lstrip("+~").partition("=")[0].replace("/", ".").split(".")[0]
    if touched in FREE:
        raise ConfigError(f"proof.control={control} changes {touched}, in which claim and control must be alike.")
    return word


def measure_file(measure: str, repository: Repository) -> Path:
    """Where the measuring function stands; ConfigError if there is none of that name."""
    module, _, name = measure.rpartition(".")
    file = repository.file_of(module) if module.split(".")[0] in MEASURES else None
    offered = functions(file) if file else []
    if name not in offered:
        where = " or ".join(f"{place}..." for place in MEASURES)
        raise ConfigError(f"proof.measure={measure} is no function of {where}{meant(name, offered)}")
    return file


def functions(file: Path) -> list[str]:
    return [node.name for node in ast.parse(file.read_bytes()).body if isinstance(node, ast.FunctionDef)]


def targets_of(node: Any) -> Iterator[str]:
    """Every class that a configuration names."""
    if isinstance(node, dict):
        yield from [node["_target_"]] if "_target_" in node else []
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from targets_of(value)
