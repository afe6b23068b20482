"""Which parts fit together: every reason why a combination cannot work, each with a remedy of one override."""

import difflib
from dataclasses import dataclass

from torch import nn

from gan_lab.datasets import Dataset
from gan_lab.losses.augment import DiffAugment
from gan_lab.losses.views import Packing
from gan_lab.models import Game
from gan_lab.networks.batch_layers import MinibatchDiscrimination
from gan_lab.settings import Trainer


@dataclass
class Parts:
    """What is about to train together."""

    dataset: Dataset
    game: Game
    settings: Trainer
    overrides: dict[str, dict]  # of the optimizer, by player
    world_size: int = 1
    device: str = "cpu"  # or cuda


def complaints(parts: Parts) -> list[str]:
    """All reasons why these parts cannot train together; empty if they can."""
    return [complaint for rule in RULES for complaint in rule(parts)]


GIVING = {"source": "degraded", "known_image": "few_labels", "attributes": "shapes"}  # a dataset that has this key
MADE_OF = ("degraded", "few_labels")  # which are made of any pictures


def missing_keys(parts):
    missing = [key for key in parts.game.needs if key not in parts.dataset.gives]
    if missing:
        suited = next((name for key, name in GIVING.items() if key in missing), "digits")
        has_pictures = suited in MADE_OF and parts.dataset.image_size is not None
        own = ", with your pictures as dataset.of=NAME" if has_pictures else ""
        yield (
            f"This model needs {' and '.join(missing)} with each sample, and the dataset gives only "
            f"{', '.join(parts.dataset.gives)}. Choose a dataset that has it, such as dataset={suited}{own}."
        )


def unpaired(parts):
    """What is shown which picture a source should become must have the right one."""
    if parts.game.needs_pairs and parts.dataset.source_channels and not parts.dataset.paired:
        yield (
            "This model learns from pairs, and the sources of this dataset do not belong to its images. "
            "Set model=cyclegan, which needs no pairs."
        )


def one_label(parts):
    """A condition that is always the same says nothing."""
    labels = parts.dataset.labels
    if {"label", "known_label"} & {*parts.game.needs} and labels is not None and len(labels.unique()) == 1:
        yield (
            f"This model is conditional on labels, and all {len(labels):,} are of the class "
            f"{parts.dataset.classes[int(labels[0])]}. Set model=dcgan, which needs none."
        )


def penalised_batch_norm(parts):
    """A penalty on each sample's gradient needs a critic that scores each sample by itself."""
    penalties = [n for n, p in parts.game.objective.penalties.items() if p.per_sample and p.at == "judge"]
    for name in parts.game.critics:
        if penalties and mixes_batch(getattr(parts.game, name)):
            yield (
                f"The loss penalises the gradient of each sample ({', '.join(penalties)}), which batch norm in the "
                f"{name} mixes. Set model.{name}.norm=layer."
            )
        if penalties and any(isinstance(m, MinibatchDiscrimination) for m in getattr(parts.game, name).modules()):
            yield (
                f"The loss penalises the gradient of each sample ({', '.join(penalties)}), which minibatch "
                f"discrimination in the {name} mixes. Set model.{name}.minibatch=none, or stddev, which mixes little."
            )


def conditions_to_nobody(parts):
    """Networks that ask for a condition need a game that hands them one."""
    if parts.game.condition is not None:
        return
    for names in parts.game.players.values():
        for name in names:
            if any(getattr(m, "asks_condition", False) for m in getattr(parts.game, name).modules()):
                yield (
                    f"The {name} has num_conditions and this model is unconditional. Set model.{name}.num_conditions=0."
                )


def hidden_trunk(parts):
    """A term that reads the critic's features needs a critic that shows them."""
    readers = [n for n, p in parts.game.objective.penalties.items() if p.reads_trunk]
    for name in parts.game.critics:
        if readers and not any(n.endswith("trunk") for n, _ in getattr(parts.game, name).named_modules()):
            yield (
                f"{readers[0]} uses the features of the {name}'s trunk, and this {name} has no submodule "
                f"'trunk'. Set ~loss.penalties.{readers[0]}, or give the network a trunk and a head."
            )


def views_of_points(parts):
    views = [n for n, v in parts.game.objective.views.items() if v.images_only]
    if views and parts.dataset.image_size is None:
        yield f"The view {views[0]} changes images, and this dataset holds points. Set loss/view=[]."
    elif views and not parts.game.shows_images:
        yield f"The view {views[0]} changes images, and this discriminator sees more than images. Set loss/view=[]."


def views_and_conditions(parts):
    """A view that mixes rows would show the critic a sample beside another sample's condition."""
    views = [n for n, v in parts.game.objective.views.items() if v.couples_batch]
    free = ("image",) if parts.game.needs_pairs else ("image", "source")  # what is not shown beside anything
    beside = [key for key in parts.game.needs if key not in free] + [parts.game.condition] * bool(parts.game.condition)
    beside += [] if parts.game.shows_images else ["latent"]
    if views and beside:
        yield (
            f"The view {views[0]} puts samples in other places of the batch, away from their {beside[0]}. "
            "Set loss/view=[]."
        )


def shifted_pairs(parts):
    """A view that moves an image moves it away from its source, which stays."""
    for name, view in parts.game.objective.views.items():
        if parts.game.needs_pairs and isinstance(view, DiffAugment) and "translation" in view.policy:
            yield (
                f"The view {name} moves images away from their sources, which stay where they are. "
                f"Set loss.views.{name}.policy=[color]."
            )


def uneven_packs(parts):
    micro_batch = parts.settings.batch_size // parts.world_size
    for name, view in parts.game.objective.views.items():
        if isinstance(view, Packing) and micro_batch % view.size:
            fits = max(1, micro_batch // view.size) * view.size * parts.world_size
            yield (
                f"The view {name} packs {view.size} samples, and {micro_batch} on a device cannot be packed evenly. "
                f"Set trainer.batch_size={fits}."
            )
        if isinstance(view, Packing) and parts.settings.samples < view.size:
            yield (
                f"The view {name} packs {view.size} samples, and a picture of trainer.samples={parts.settings.samples} "
                f"has no pack to show. Set trainer.samples={view.size}."
            )


def unbounded_critic(parts):
    objective = parts.game.objective
    if not objective.bounded and not any(p.per_sample for p in objective.penalties.values()):
        yield (
            "This loss has neither a clip nor a penalty, so the discriminator's scores grow without bound. "
            "Set loss.clip=0.01, or choose loss=wgan_gp."
        )


def handed_fakes(parts):
    """Fakes that are handed on serve one turn of the critic."""
    turns = {**parts.game.turns, **parts.settings.turns}
    uneven = [player for player in parts.game.players if turns[player] != 1]
    if parts.game.reuse_fakes and uneven:
        yield (
            f"model.reuse_fakes uses each generated sample in one turn of the discriminator, and the {uneven[0]} takes "
            f"{turns[uneven[0]]} in a round. Set model.reuse_fakes=false."
        )


def uneven_batch(parts):
    size, shares = parts.settings.batch_size, parts.world_size
    if size % shares:
        yield (
            f"trainer.batch_size={size} cannot be shared evenly by {shares} devices. "
            f"Set trainer.batch_size={max(1, size // shares) * shares}."
        )


def small_dataset(parts):
    settings, found = parts.settings, len(parts.dataset)
    batch = settings.batch_size * settings.accumulate
    if batch > found:
        fits = max(1, found // (settings.accumulate * parts.world_size)) * parts.world_size
        yield (
            f"One batch takes {batch} samples and the dataset has {found}: 0 batches per epoch. "
            f"Set trainer.batch_size={fits}."
        )


def single_samples(parts):
    names = [name for names in parts.game.players.values() for name in names]
    mixing = [name for name in names if mixes_batch(getattr(parts.game, name))]
    if parts.settings.batch_size // parts.world_size <= 1 and mixing:
        remedy = f"Set trainer.batch_size={2 * parts.world_size}."
        if len(parts.dataset) < 2 * parts.world_size:
            remedy = f"Add data, or set {' '.join(f'model.{name}.norm=layer' for name in mixing)}."
        size = parts.settings.batch_size
        yield f"trainer.batch_size={size} leaves batch norm a single sample per batch. {remedy}"


def unknown_players(parts):
    known = list(parts.game.players)
    clips = parts.settings.clip if isinstance(parts.settings.clip, dict) else {}
    by_key = {"trainer.turns": parts.settings.turns, "trainer.clip": clips, "optimizer_overrides": parts.overrides}
    for key, by_player in by_key.items():
        for player in by_player.keys() - set(known):
            close = (difflib.get_close_matches(player, known, n=1, cutoff=0.4) or known)[0]
            yield (
                f"{key}.{player}: this model has no player '{player}'; its players are {' and '.join(known)}. "
                f"Set {key}.{close} instead."
            )


# What a GPU differentiates by additions in no certain order, and refuses to where the order is to be certain: the
# layers behind the callers of `alertNotDeterministic` in torch 2.14.1, which max_pool2d, avg_pool2d and cdist are not
UNCERTAIN = (
    *(nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d),
    *(nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool2d, nn.AvgPool3d, nn.MaxPool3d),
    *(nn.FractionalMaxPool2d, nn.FractionalMaxPool3d, nn.MaxUnpool2d, nn.MaxUnpool3d),
    *(nn.UpsamplingBilinear2d, nn.CTCLoss),
)


def uncertain_kernels(parts):
    """Some layers have no deterministic backward pass on a GPU."""
    if not parts.settings.deterministic or parts.device != "cuda":
        return
    for name, network in parts.game.named_children():
        found = [type(m).__name__ for m in network.modules() if isinstance(m, UNCERTAIN) or is_blurred(m)]
        if found:
            yield (
                f"The {name} has {found[0]}, whose gradient has no deterministic kernel on a GPU. "
                "Set trainer.deterministic=false."
            )


def is_blurred(layer):
    return isinstance(layer, nn.Upsample) and layer.mode not in ("nearest", "nearest-exact")


RULES = (
    missing_keys,
    unpaired,
    one_label,
    penalised_batch_norm,
    conditions_to_nobody,
    hidden_trunk,
    views_of_points,
    views_and_conditions,
    shifted_pairs,
    uneven_packs,
    unbounded_critic,
    handed_fakes,
    uneven_batch,
    small_dataset,
    single_samples,
    uncertain_kernels,
    unknown_players,
)


def mixes_batch(network):
    """Whether a network's output for one sample depends on the others in the batch while it trains."""
    return any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules())
