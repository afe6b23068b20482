"""Configuration to objects: each `_target_` is resolved, checked, and only then called."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from gan_lab.config.signatures import OURS, class_of, look_here
from gan_lab.config.stages import WORD
from gan_lab.datasets import Dataset
from gan_lab.errors import CheckpointError, ConfigError, fault_in
from gan_lab.models import FromRun, Game, as_game
from gan_lab.storage import checkpoint
from gan_lab.storage.files import checked_state, config_of
from gan_lab.storage.finding import find_run


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
    node: object,
    trust: tuple[str, ...] = (),
    *,
    key: str = "",
    problems: list[str] | None = None,
    stored: bool = False,
    **given,
) -> object:
    """What a plain configuration node describes: mappings with `_target_` become objects, inside out.

    `given` joins the arguments of the outermost object. `stored`: guests take no weights of the runs that lent them,
    because those of a checkpoint follow. A ValueError of a constructor becomes a sentence under the
    node's key in `problems`, with None in the object's place, so that all of them can be told at once.
    """
    problems = problems if problems is not None else []
    if isinstance(node, list):
        return [build(item, trust, key=f"{key}.{i}", problems=problems, stored=stored) for i, item in enumerate(node)]
    if not isinstance(node, dict):
        return node
    before = len(problems)
    words = {"_target_", "_partial_"}
    below = {"problems": problems, "stored": stored or is_guest(node)}  # what a guest is made of comes with it
    parts = {k: build(v, trust, key=f"{key}.{k}", **below) for k, v in node.items() if k not in words}
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
    return guest_of(made, key, stored) if isinstance(made, FromRun) else made


def guest_of(guest: FromRun, key: str, stored: bool) -> nn.Module:
    """The trained network of a finished run, frozen; of a stage that is still to come untrained.

    Raises ConfigError, CheckpointError.
    """
    network = guest.built
    if not stored and not guest.run.startswith(WORD):  # take its weights, averaged ones where the run has them
        folder = find_run(guest.run)
        place = folder / "checkpoints"
        state = checkpoint.load_newest(place) if guest.checkpoint == "last" else checkpoint.load(place / "best.pt")
        state = checked_state(state, folder)
        averaged = under(f"networks.{guest.network}.", state["ema"]) if guest.weights == "ema" else {}
        try:
            network.load_state_dict(averaged or under(f"{guest.network}.", state["game"]))
        except RuntimeError as error:
            raise CheckpointError(
                f"{folder}: the checkpoint and config.yaml do not belong together: {error}"
            ) from error
    try:
        return network.get_submodule(guest.part or "").eval().requires_grad_(False)
    except AttributeError:
        parts = ", ".join(name for name, _ in network.named_children())
        raise ConfigError(f"{key}.part={guest.part} is no part of that {guest.network}; it has {parts}.") from None


def is_guest(node: object) -> bool:
    return isinstance(node, dict) and node.get("_target_") in (
        "gan_lab.models.FromRun",
        FromRun.__module__ + ".FromRun",
    )


def with_guests(node: Any, key: str = "", lender: Callable[[str], dict] = lambda run: config_of(find_run(run))) -> Any:
    """A node in which each guest says how its network is built, as the configuration of the run that lends it does.

    So a run that uses a guest needs that other one no more. `lender` gives that configuration. Raises ConfigError,
    CheckpointError.
    """
    if isinstance(node, list):
        return [with_guests(item, f"{key}.{i}", lender) for i, item in enumerate(node)]
    if not isinstance(node, dict):
        return node
    if not is_guest(node) or node.get("built"):
        return {name: with_guests(value, f"{key}.{name}".lstrip("."), lender) for name, value in node.items()}
    model = lender(node["run"])["model"]
    known = [name for name, value in model.items() if isinstance(value, dict) and "_target_" in value]
    if node["network"] not in known:
        raise ConfigError(f"{key}.network={node['network']} is no network of {node['run']}; it has {', '.join(known)}.")
    return {**node, "built": with_guests(model[node["network"]], f"{key}.built", lender)}


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
    node = with_guests(config["dataset"], "dataset")
    dataset = build(node, tuple(config["trust"]), key="dataset", problems=problems)
    tell(problems)
    return dataset


def build_game(config: dict, *, stored: bool = False) -> Game:
    """The `model` and `loss` groups, joined; weights follow from the seed, those of guests from their runs.

    `stored`: those of a checkpoint follow, which holds the guests' too.
    """
    model, loss = (with_guests(config[part], part) for part in ("model", "loss"))
    torch.manual_seed(config["seed"])
    trust, problems = tuple(config["trust"]), []
    objective = build(loss, trust, key="loss", problems=problems, stored=stored)
    game = build(model, trust, key="model", problems=problems, stored=stored, objective=objective)
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
