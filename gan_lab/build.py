"""Configuration to objects: each `_target_` is resolved, checked, and only then called."""

import inspect
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from gan_lab import checkpoint
from gan_lab.choices import find_run
from gan_lab.datasets import Dataset
from gan_lab.errors import CheckpointError, ConfigError, fault_in
from gan_lab.models import FromRun, Game, as_game
from gan_lab.schedule import turns_of
from gan_lab.settings import Trainer
from gan_lab.signatures import OURS, class_of, look_here
from gan_lab.stored import checked_state, config_of


def resolve(target: str, trust: tuple[str, ...] = ()) -> type:
    """The class that `_target_` names, if it is one of ours, of torch.optim or of a package that the user trusts.

    The object itself is looked at, not its name: a module reached through one of ours is refused. Raises ConfigError.
    """
    look_here(trust)
    try:
        return class_of(target, (*OURS, *trust))
    except LookupError:
        raise ConfigError(refusal(target)) from None
    except ImportError as error:
        raise ConfigError(str(error)) from error


def refusal(target):
    package = target.partition(".")[0]
    return (
        f"_target_={target} is not a class of gan-lab or torch.optim. If it is your own, say so: "
        f"trust=[{'mypackage' if package in ('gan_lab', 'torch') else package}]."
    )


def build(
    node: object, trust: tuple[str, ...] = (), *, key: str = "", problems: list[str] | None = None, **given
) -> object:
    """What a plain configuration node describes: mappings with `_target_` become objects, inside out.

    `given` joins the arguments of the outermost object. A ValueError of a constructor becomes a sentence under the
    node's key in `problems`, with None in the object's place, so that all of them can be told at once.
    """
    problems = problems if problems is not None else []
    if isinstance(node, list):
        return [build(item, trust, key=f"{key}.{i}", problems=problems) for i, item in enumerate(node)]
    if not isinstance(node, dict):
        return node
    before = len(problems)
    words = {"_target_", "_partial_"}
    parts = {k: build(v, trust, key=f"{key}.{k}", problems=problems) for k, v in node.items() if k not in words}
    if "_target_" not in node:
        return parts
    cls = resolve(node["_target_"], trust)
    if node.get("_partial_", False):
        return partial(cls, **parts, **given)
    if len(problems) > before:  # an object is not built of parts that are missing
        return None
    try:
        made = cls(**parts, **given)
    except ValueError as error:
        place = fault_in(error)
        problems.append(f"{key}: {error}{place and f' - in {place}'}")
        return None
    except TypeError as error:
        place = fault_in(error)
        what = f"{error}{place and f' - in {place}'}"
        raise ConfigError(f"{key}: {node['_target_']} cannot be built from these settings: {what}.") from error
    return guest_of(made, trust, key) if isinstance(made, FromRun) else made


def guest_of(asked: FromRun, trust: tuple[str, ...], key: str) -> nn.Module:
    """The trained network of a finished run, frozen. Raises ConfigError, CheckpointError."""
    folder = find_run(asked.run)
    model = config_of(folder)["model"]
    known = [name for name, node in model.items() if isinstance(node, dict) and "_target_" in node]
    if asked.network not in known:
        raise ConfigError(f"{key}.network={asked.network} is no network of {folder}; it has {', '.join(known)}.")
    problems = []
    network = build(model[asked.network], trust, key=f"{key}.{asked.network}", problems=problems)
    tell(problems)

    # Take its weights, averaged ones where the run has them
    place = folder / "checkpoints"
    state = checkpoint.load_newest(place) if asked.checkpoint == "last" else checkpoint.load(place / "best.pt")
    state = checked_state(state, folder)
    averaged = under(f"networks.{asked.network}.", state["ema"]) if asked.weights == "ema" else {}
    try:
        network.load_state_dict(averaged or under(f"{asked.network}.", state["game"]))
        return network.get_submodule(asked.part or "").eval().requires_grad_(False)
    except RuntimeError as error:
        raise CheckpointError(f"{folder}: the checkpoint and config.yaml do not belong together: {error}") from error
    except AttributeError:
        parts = ", ".join(name for name, _ in network.named_children())
        raise ConfigError(f"{key}.part={asked.part} is no part of that {asked.network}; it has {parts}.") from None


def under(prefix: str, state: dict) -> dict:
    """What of a state has this prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def tell(problems: list[str]) -> None:
    """Raise all problems as one ConfigError."""
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(problems)))


def build_dataset(config: dict) -> Dataset:
    """The `dataset` group."""
    problems = []
    dataset = build(config["dataset"], tuple(config["trust"]), key="dataset", problems=problems)
    tell(problems)
    return dataset


def build_game(config: dict) -> Game:
    """The `model` and `loss` groups, joined; weights follow from the seed."""
    torch.manual_seed(config["seed"])
    trust, problems = tuple(config["trust"]), []
    objective = build(config["loss"], trust, key="loss", problems=problems)
    game = build(config["model"], trust, key="model", problems=problems, objective=objective)
    tell(problems)
    try:
        return as_game(game).train()
    except TypeError as error:
        raise ConfigError(f"model._target_={config['model']['_target_']} is not a game: {error}.") from error


def build_optimizer(config: dict, player: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer of one player: the `optimizer` group, or what `optimizer_overrides` says for this player.

    An override that names a `_target_` stands alone; without one it is laid over `optimizer`. Fused kernels are used
    where the optimizer has them, else on a GPU those whose state lies there.
    """
    override = config["optimizer_overrides"].get(player, {})
    node = override if "_target_" in override else {**config["optimizer"], **override}
    key = f"optimizer_overrides.{player}" if override else "optimizer"
    problems = []
    node = {k: [float(x) for x in v] if isinstance(v, list) else v for k, v in node.items()}  # betas=[0,0.9]
    make = build({**node, "_partial_": True}, tuple(config["trust"]), key=key, problems=problems)
    tell(problems)
    if takes_closure(make.func):
        raise ConfigError(
            f"{key}: {make.func.__name__} evaluates the loss several times within a step, which is not supported. "
            "Choose optimizer=adam, for example."
        )
    known = inspect.signature(make.func).parameters
    if "fused" in known and not make.keywords.get("foreach") and make.keywords.get("fused", True):
        make = partial(make, fused=True)
    elif "capturable" in known and parameters[0].is_cuda:  # all of its state lies on the device: see Seat.step_or_undo
        make = partial(make, **{"capturable": True, **make.keywords})
    try:
        optimizer = make(parameters)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ConfigError(f"{key}: {str(error).rstrip('.')}.") from error

    # Start momentum from zero: SGD's fused kernel leaves it unset where the first update is skipped (torch 2.15)
    if isinstance(optimizer, torch.optim.SGD) and optimizer.defaults["momentum"]:
        for parameter in parameters:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def takes_closure(optimizer: type) -> bool:
    """Whether an optimizer's `step` cannot do without a function that computes the loss."""
    try:
        inspect.signature(optimizer.step).bind(optimizer)
    except TypeError:
        return True
    return False


def build_turns(game: Game, settings: Trainer) -> dict[str, Callable[[int], int]]:
    """Turns of each player, as the game says, unless `trainer.turns` says otherwise."""
    try:
        return {player: turns_of(settings.turns.get(player, usual)) for player, usual in game.turns.items()}
    except ValueError as error:
        raise ConfigError(f"trainer.{error}") from error
