"""What the tests share: configurations of tiny runs, trainers made from them, and fingerprints of what they hold."""

import contextlib
import copy
import hashlib
import io
import math
from functools import cache
from pathlib import Path

import torch
import yaml
from omegaconf import OmegaConf

import gan_lab
from gan_lab.config import compose as _resolvers  # noqa: F401
from gan_lab.config.build import build_dataset
from gan_lab.config.compose import compose
from gan_lab.config.overrides import NESTED
from gan_lab.config.settings import TrainerSettings
from gan_lab.errors import ConfigError
from gan_lab.training import assembly
from gan_lab.training.distributed import World

ROOT = Path(gan_lab.__file__).parents[1]
CONF = ROOT / "conf"
GROUPS = ("dataset", "model", "loss", "optimizer", "trainer")
INNER = ("loss/penalty", "loss/view")  # several of one are joined by +
TINY = {
    "trainer.steps": 100,
    "trainer.batch_size": 8,
    "trainer.device": "cpu",
    "trainer.precision": "fp32",
    "trainer.placement": "resident",
    "trainer.threads": 1,
    "trainer.ema_every": 1,
    "trainer.samples": 4,
}
WIDTH = 8
SMALL_GENERATOR = '''\
class Generator(nn.Module):
    """Latents [N, latent_dim] to images [N, channels, image_size, image_size]."""

    def __init__(self, latent_dim: int, channels: int, image_size: int):
        super().__init__()
        self.shape = (channels, image_size, image_size)
        self.layer = nn.Linear(latent_dim, channels * image_size**2)

    def forward(self, latent):
        return self.layer(latent).tanh().view(-1, *self.shape)
'''  # for modules that a test writes


def names(group: str) -> list[str]:
    """Every choice of a config group: new YAML is found, no test is edited."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def config_of(*words: str) -> dict:
    """The plain configuration of a tiny run; words are `group=choice` and `dotted.key=value`."""
    pairs = [word.split("=", maxsplit=1) for word in words]
    chosen = {"dataset": "digits", "model": "gan", "loss": "non_saturating", "optimizer": "adam", "trainer": "default"}
    chosen |= {key: value for key, value in pairs if key in GROUPS}
    nested = {key: value for key, value in pairs if NESTED.fullmatch(key)}
    config = {group: OmegaConf.create(yaml_of(group, name)) for group, name in chosen.items()}
    config |= {"seed": 0, "optimizer_overrides": {}, "trust": [], "run": {"name": "test", "root": "outputs"}}
    config = OmegaConf.create(config)
    for group, chosen_names in pairs:
        if group in INNER:
            for name in chosen_names.split("+"):
                config = OmegaConf.merge(config, packaged(group, name))
    for key, name in nested.items():
        OmegaConf.update(config, key.replace("/", "."), yaml_of("dataset", name), merge=False)
    narrow(config.model)
    values = TINY | {key: yaml.safe_load(value) for key, value in pairs if key not in (*GROUPS, *INNER, *nested)}
    for key, value in values.items():
        OmegaConf.update(config, key, value, force_add=True)
    return OmegaConf.to_container(config, resolve=True)


def packaged(group, name):
    """A file of an inner group, under the package that its first line names."""
    path = CONF / group / f"{name}.yaml"
    package = path.read_text().split("@package ", maxsplit=1)[1].split("\n", maxsplit=1)[0]
    node = OmegaConf.create({}) if package != "_global_" else OmegaConf.load(path)
    if package != "_global_":
        OmegaConf.update(node, package, OmegaConf.load(path), force_add=True)
    return node


@cache
def yaml_of(group, name):
    values = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{name}.yaml"))
    defaults = values.pop("defaults", [])
    for base in (entry for entry in defaults if isinstance(entry, str) and entry != "_self_"):  # of the same group
        values = OmegaConf.to_container(OmegaConf.merge(yaml_of(group, base), values))
    defaults = [entry for entry in defaults if isinstance(entry, dict)]
    for place, inner in (item for entry in defaults for item in entry.items()):  # as `/dataset@of: digits`
        folder, _, key = place.removeprefix("/").partition("@")
        values[key] = yaml_of(folder, inner)
    return values


def narrow(node):
    """Every network of a model at WIDTH channels."""
    for key in node:
        if key == "width":
            node[key] = WIDTH
        elif OmegaConf.is_dict(node) and OmegaConf.is_dict(node._get_node(key)):
            narrow(node[key])


def trainer_of(config: dict, world: World | None = None):
    """What `session` assembles from a configuration, ready for its first round."""
    with contextlib.redirect_stdout(io.StringIO()):
        trainer, dataset = assembly.assemble(
            copy.deepcopy(config), TrainerSettings(**config["trainer"]), world or World()
        )
    trainer.game.train()
    if torch.get_default_dtype() == torch.float64:
        in_double(dataset)
    return trainer


def in_double(dataset):
    """A dataset that prepares its images in float64."""
    prepare = dataset.prepare
    dataset.prepare = lambda rows, bits: {
        name: value.double() if value.is_floating_point() else value for name, value in prepare(rows, bits).items()
    }


def play(trainer, rounds: int):
    """Some rounds; the same trainer."""
    for _ in range(rounds):
        trainer.round()
    return trainer


def made(*words: str, rounds: int = 0):
    """A tiny trainer after some rounds."""
    return play(trainer_of(config_of(*words)), rounds)


def check_preset(name, *words):
    """Two rounds of a preset's networks and settings, at batches of 2."""
    config = compose(
        [f"experiment={name}", "trainer.device=cpu", "trainer.batch_size=2", "trainer.threads=1"]
        + ["trainer.precision=fp32", *words]
    )
    trainer = trainer_of(config)
    before = torch.cat([p.detach().flatten() for p in trainer.parameters])
    play(trainer, 2)
    assert not any(seat.report()[0] for seat in trainer.seats), "no update was skipped"
    assert all(math.isfinite(value) for value in trainer.report().values())
    assert not torch.equal(before, torch.cat([p.detach().flatten() for p in trainer.parameters]))
    return trainer


@cache
def words_for(model: str) -> tuple[str, ...]:
    """The choice of a model together with a dataset that it can play on and that needs no download."""
    offline = [name for name in names("dataset") if not {"download", "path", "root"} & yaml_of("dataset", name).keys()]
    for dataset in sorted(offline, key=lambda name: name != "digits"):
        config = config_of(f"model={model}", f"dataset={dataset}")
        try:
            needs = trainer_of(config).game.needs
        except ConfigError:
            continue
        if set(needs) <= set(build_dataset(config).gives):
            return f"model={model}", f"dataset={dataset}"
    raise AssertionError(f"no dataset of conf/dataset that is there without a download lets model={model} play")


def leaves(state, path: str = ""):
    """(path, value) of everything in nested dicts and lists, sorted by path."""
    if isinstance(state, dict):
        for key in sorted(state, key=str):
            yield from leaves(state[key], f"{path}/{key}")
    elif isinstance(state, list | tuple):
        for i, value in enumerate(state):
            yield from leaves(value, f"{path}/{i}")
    else:
        yield path, state


def fingerprint(state: dict) -> str:
    """sha256 over every name, type, shape and bit of a state, without seconds and what observers remember."""
    digest = hashlib.sha256()
    for path, value in leaves({key: value for key, value in state.items() if key not in ("seconds", "memory")}):
        if isinstance(value, torch.Tensor):
            digest.update(f"{path} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        else:
            digest.update(f"{path} {value!r}".encode())
    return digest.hexdigest()


def weights(trainer) -> torch.Tensor:
    """All weights of the players in one vector."""
    return torch.cat([p.detach().flatten() for p in trainer.parameters]).clone()
