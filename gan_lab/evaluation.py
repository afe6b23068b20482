"""How samples are judged: against which real data, in whose features, and what is written down of it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from gan_lab import __version__
from gan_lab.build import build_dataset
from gan_lab.datasets import Dataset
from gan_lab.datasets.base import chosen, in_play
from gan_lab.datasets.download import download_file
from gan_lab.errors import ConfigError, DataError, MissingDataError
from gan_lab.metrics import (
    Extractor,
    Figure,
    PerColour,
    Pixels,
    Protocol,
    Seen,
    cheap_names,
    inception,
    judge,
    look,
    seen,
)
from gan_lab.metrics.classes import label_accuracy, purity
from gan_lab.metrics.classifier import Labelled, classifier
from gan_lab.metrics.judgement import OF_PAIRS
from gan_lab.metrics.neighbours import diversity, nearest
from gan_lab.metrics.pairs import pair_figures
from gan_lab.metrics.store import digest, kept
from gan_lab.models import Game
from gan_lab.nested import levels, with_known
from gan_lab.run import Run
from gan_lab.stored import counted

EXTRACTORS = ("classifier", "inception", "pixels")
FIRST_SEED = 20_000_000  # of the latents of a report; far from those that pictures and evaluation in training use
REFERENCE = 50_000  # real pictures whose moments a report takes at most
FEATURES = 200_000  # training pictures whose features are kept, at most; those of larger sets are made anew each time
SAMPLES, SAMPLES_STACKED = 10_000, 26_000  # of a report; the second is Metz et al. 2017, section 3.3.1
LEARNT = (60_000, 10_000)  # pictures that a classifier learns from and is examined with, at most
CONDITIONED = 2000  # samples that are asked for a class, at most
AT_ONCE = 100  # pictures that pass through a network together


class Judge:
    """Judges samples against one set of real data: by the truth where it is known, else in an extractor's features.

    `split` names the real data in every protocol; at most `most` of it are looked at, once, and kept by content.
    """

    def __init__(
        self, reference: Dataset, split: str, extractor: Extractor | None, most: int = REFERENCE, device="cpu"
    ):
        self.reference, self.split, self.most, self.device = reference, split, most, torch.device(device)
        self.extractor = extractor.to(self.device) if extractor else None

    def figures(
        self, samples: Iterable[Tensor], *, step: int, weights: str, batch_norm: str, seed: int, cheap: bool = False
    ) -> list[Figure]:
        """Every figure of samples that come in batches: pictures [N, C, H, W] in [-1, 1], or points [N, D]."""
        facts = {"weights": weights, "batch_norm": batch_norm, "seed": seed, "version": __version__}
        if self.extractor is None:
            points = torch.cat([batch.float().cpu() for batch in samples])
            values = {f"exact/{name}": value for name, value in self.reference.exact(points).items()}
            protocol = Protocol("truth", 0, len(points), "none", "none", **facts)
        else:
            fake = look(self.extractor, (seen.bytes_of(batch).to(self.device) for batch in samples), "samples")
            values = judge(self.real, fake, self.extractor, self.label_counts, cheap)
            looks = (self.extractor.about, self.extractor.resize)
            protocol = Protocol(self.split, self.real.count, fake.count, *looks, **facts)
            self.fake = fake
        return [Figure(name, float(value), step, self.precisely(name, protocol)) for name, value in values.items()]

    def precisely(self, name: str, protocol: Protocol) -> Protocol:
        """The protocol of one figure: what looks at pairs sees no more samples than are kept; a score has splits."""
        kind = name.partition("/")[0]
        if kind in OF_PAIRS:
            real, fake = min(protocol.reference_count, seen.KEPT), min(protocol.samples, seen.KEPT)
            return replace(protocol, reference_count=real, samples=fake)
        if kind in ("score", "score_of_real") and self.extractor.splits > 1:
            splits = (self.fake if kind == "score" else self.real).classes.splits
            return replace(protocol, extractor=f"{protocol.extractor}, {counted(splits, 'split')}")
        return protocol

    @property
    def names(self) -> list[str]:
        """The cheap figures, by name, before there is a sample."""
        if self.extractor is None:
            return [f"exact/{name}" for name in self.reference.exact(torch.zeros(2, self.reference.channels))]
        return cheap_names(self.extractor)

    @cached_property
    def real(self) -> Seen:
        """The reference as the extractor sees it; from the cache where the same pictures were seen before."""
        contents = digest(*map(digest, self.batches()))
        splits = ["splits", self.extractor.splits] if self.extractor.guesses else []
        name = f"reference-{self.extractor.title}-{digest(contents, self.extractor.identity, self.split, *splits)}"
        images = (images.to(self.device) for images in self.batches())
        return Seen.of(kept(name, lambda: look(self.extractor, images, "real pictures").state_dict()))

    @property
    def label_counts(self) -> Tensor | None:
        known = self.reference.labels is not None and self.reference.num_classes == self.extractor.classes
        return torch.bincount(self.reference.labels, minlength=self.extractor.classes) if known else None

    @property
    def chosen(self) -> Tensor:
        """The rows of real pictures that are looked at: all, or a fixed choice."""
        return chosen(len(self.reference), self.most)

    def batches(self) -> Iterator[Tensor]:
        """Real pictures as bytes, uint8 [N, C, H, W], in the order of `chosen`."""
        return pictures_of(self.reference, self.chosen)


def evaluate(
    run: Run,
    *,
    n: int | None = None,
    extractor: str | None = None,
    reference: str | None = None,
    seed: int = 0,
    inception_weights: Path | None = None,
    say=print,
) -> list[Figure]:
    """Judge fresh samples of a run against the test data, as `gan-lab evaluate` does; writes nothing.

    `reference` names another split of the data, such as train: published FIDs are mostly of 50,000 samples against the
    training data. Labelled data is judged by a classifier unless `extractor` says otherwise, other pictures by their
    pixels, points by the truth. `seed` moves on to other latents. Raises ConfigError, DataError.
    """
    reference, split = reference_of(run.config, run.dataset, say, reference)
    n = n or run.dataset.exact_samples or (SAMPLES if run.dataset.digits is None else SAMPLES_STACKED)
    looker = extractor_of(extractor, run.config, run.dataset, inception_weights, say=say)
    seeds = range(FIRST_SEED + seed * 1_000_000, FIRST_SEED + seed * 1_000_000 + n)
    made = Judge(reference, split, looker, device=run.device)
    facts = {"step": run.state["step"], "weights": run.weights, "batch_norm": run.batch_norm, "seed": seeds[0]}
    figures = made.figures(drawn(run.game, materials(run.game, reference, seeds)), **facts)
    if run.game.translators:
        figures += translated(run, reference, seeds, figures[0])
    knows_labels = looker is not None and reference.labels is not None and looker.classes == run.dataset.num_classes
    if run.game.condition == "label" and knows_labels:
        figures += obedience(run, made, seeds[:CONDITIONED], figures[0])
    if looker is not None and looker.classes and run.game.condition == "code":
        figures += meaning(run, looker, seeds[:CONDITIONED], figures[0])
    if looker is not None and are_apart(split_of(run.config), split):
        figures.append(novelty(run.dataset, split_of(run.config), made, figures[0]))
    return figures


def novelty(train: Dataset, split: str, test: Judge, like: Figure) -> Figure:
    """How far a sample is from its nearest training picture, by the median, against how far test pictures are.

    About 1 for samples that are as new as test pictures, near 0 for copies. All training pictures are looked at, a
    chunk at a time.
    """
    both = torch.cat([test.fake.features, test.real.features])
    trained = features_of(test.extractor, train, torch.arange(len(train)), test.device)
    far = nearest(both, trained)[0].split([len(test.fake.features), len(test.real.features)])
    counts = {"reference_count": len(train), "samples": len(test.fake.features)}
    protocol = replace(like.protocol, reference=f"{split}, as {test.split}", **counts)
    return Figure(f"novelty/{test.extractor.title}", float(far[0].median() / far[1].median()), like.step, protocol)


@torch.no_grad()
def features_of(extractor: Extractor, dataset: Dataset, rows: Tensor, device="cpu") -> Iterator[Tensor]:
    """Features of some rows' pictures in their order, [n, D], in chunks of KEPT; kept by content, up to FEATURES."""
    for part in tqdm(rows.split(seen.KEPT), desc="training pictures", unit="chunk", delay=5, disable=None, leave=False):
        make = lambda part=part: {
            "features": torch.cat([extractor(x.to(device))[0].float().cpu() for x in pictures_of(dataset, part)])
        }
        contents = digest(*map(digest, pictures_of(dataset, part))) if len(rows) <= FEATURES else None
        name = f"features-{extractor.title}-{digest(contents, extractor.identity)}"
        yield (kept(name, make) if contents else make())["features"]


def pictures_of(dataset: Dataset, rows: Tensor) -> Iterator[Tensor]:
    """Pictures of some rows as they are judged, uint8 [n, C, H, W], some at a time."""
    for part in rows.split(AT_ONCE):
        yield dataset.plain(part)["image"].permute(0, 3, 1, 2)


def materials(game: Game, dataset: Dataset, seeds: range) -> Tensor:
    """What samples are made of: the latents of seeds; of a game that translates, as many sources of the data."""
    if not game.translators:
        return game.draw_latents(seeds)
    return in_play(dataset.plain(chosen(len(dataset), len(seeds)))["source"]).to(game.noise.device)


@torch.no_grad()
def translated(run: Run, reference: Dataset, seeds: range, like: Figure) -> list[Figure]:
    """How near translations come to what they should be, where that is known, and how near the way back ends.

    `pairs`: to the image of the pair; `truth`: to what a formula makes of the source, beside what the source itself
    differs from that; `way_back`: of a two-way game, from where it began.
    """
    sources = materials(run.game, reference, seeds)
    made, values = torch.cat([*drawn(run.game, sources)]).cpu(), {}
    if reference.paired:
        wanted = in_play(reference.plain(chosen(len(reference), len(seeds)))["image"])
        values |= {f"{name}/pairs": value for name, value in nearness(made, wanted).items()}
    truth = reference.truth(sources.cpu())
    if truth is not None:
        values |= {f"{name}/truth": value for name, value in nearness(made, truth).items()}
        values["l1_of_source/truth"] = float((sources.cpu() - truth).abs().mean())
    if "back" in run.game.translators:
        back = torch.cat([run.game.translate(part.to(run.device), "back").cpu() for part in made.split(AT_ONCE)])
        values["l1/way_back"] = float((back - sources.cpu()).abs().mean())
    protocol = replace(like.protocol, samples=len(sources), extractor="none", resize="none")
    return [Figure(name, value, like.step, protocol) for name, value in values.items()]


def nearness(made: Tensor, wanted: Tensor) -> dict[str, float]:
    """Mean differences of pictures; PSNR and SSIM too where torchmetrics is there and the pictures are large enough."""
    if min(made.shape[-2:]) >= 11 and find_spec("torchmetrics"):
        return pair_figures(made, wanted)
    return {"l1": float((made - wanted).abs().mean())}


@torch.no_grad()
def obedience(run: Run, made: Judge, seeds: range, like: Figure) -> list[Figure]:
    """Of samples that are told a class, each as often: the share that are of it, and how varied each class is.

    `class_diversity` is the mean distance between two samples of one class, over that between two real pictures of it,
    as a mean over the classes: 0 where a class has one picture, 1 where samples differ as the data does.
    """
    latents, many, title = run.latents(seeds), run.dataset.num_classes, made.extractor.title
    asked = torch.arange(len(latents)) % many
    latents = run.game.asked(latents, torch.nn.functional.one_hot(asked, many))
    looked = [made.extractor(seen.bytes_of(part).to(run.device)) for part in drawn(run.game, latents)]
    features, said = (torch.cat(parts).cpu() for parts in zip(*looked, strict=True))
    real = made.real.features
    labels = made.reference.labels[made.chosen[: len(real)]]
    values = {"label_accuracy": label_accuracy(said, asked)}
    counts = [torch.bincount(each, minlength=many) for each in (asked, labels)]
    if min(map(torch.min, counts)) > 1:  # else there are no two samples, or pictures, of some class
        apart = [diversity(real[labels == c]) for c in range(many)]
        if min(apart) > 0:  # else the pictures of some class are all one
            varied = [diversity(features[asked == c]) / apart[c] for c in range(many)]
            values["class_diversity"] = sum(varied) / many
    protocol = replace(like.protocol, samples=len(latents))
    return [Figure(f"{name}/{title}", value, like.step, protocol) for name, value in values.items()]


@torch.no_grad()
def meaning(run: Run, extractor: Extractor, seeds: range, like: Figure) -> list[Figure]:
    """What each categorical code stands for, by the classes of samples: `purity`, with each value equally often."""
    figures = []
    for i in [i for i, count in enumerate(run.game.codes) if count > 1]:
        values = torch.arange(len(seeds)) % run.game.codes[i]
        latents = run.latents(seeds)
        for value in range(run.game.codes[i]):
            latents[values == value] = run.coded(latents[values == value], {i: value})
        said = [extractor(seen.bytes_of(part).to(run.device))[1].cpu() for part in drawn(run.game, latents)]
        protocol = replace(like.protocol, samples=len(seeds))
        share, named = purity(torch.cat(said), values)
        names = (f"code_purity/{i}/{extractor.title}", share), (f"classes_named/{i}/{extractor.title}", float(named))
        figures += [Figure(name, value, like.step, protocol) for name, value in names]
    return figures


@torch.no_grad()
def drawn(game: Game, latents: Tensor) -> Iterator[Tensor]:
    """Samples of latents, some at a time; the game is in eval mode."""
    game.noise.at("evaluate")
    for part in latents.split(AT_ONCE):
        yield game.sample(part)


# ---- real data ------------------------------------------------------------------------------------------------------


def reference_of(config: dict, dataset: Dataset, say=print, wanted: str | None = None) -> tuple[Dataset, str]:
    """What a report is made against, and its name: the test split, or the training data where nothing is held out.

    `wanted` is another split; ConfigError where the data has none of that name.
    """
    name = split_of(config)
    if dataset.image_size is None:
        if wanted is not None:
            raise ConfigError(f"reference={wanted} is for images; points have a known distribution: leave it out.")
        return dataset, "truth"
    if wanted is not None:
        return split_named(config, dataset, wanted), wanted
    test = None if name in ("all", "test") else other_split(config, "test")
    if test is not None:
        return test, "test"
    why = {"all": "The run was trained on all splits", "test": "The run was trained on the test split"}
    say(f"{why.get(name, 'This data has no test split')}: the reference is the training data.")
    return dataset, name


def split_named(config: dict, dataset: Dataset, split: str) -> Dataset:
    """All of the data of one split; ConfigError where there is none of that name."""
    if any("split" in level for level in levels(config["dataset"])):
        try:
            return whole_split(config, split)
        except (ConfigError, DataError) as error:
            if split != split_of(config):
                raise ConfigError(f"reference={split} is no split of this data: {error}") from error
    elif split != split_of(config):
        raise ConfigError(f"reference={split} is no split of this data, which has train alone.")
    return dataset


def other_split(config: dict, split: str) -> Dataset | None:
    """All of the same data with another split, also of what a dataset is made of; None where there is none.

    Raises DataError where there is one, and something is wrong with it.
    """
    if not any("split" in level for level in levels(config["dataset"])):
        return None
    try:
        return whole_split(config, split)
    except (ConfigError, MissingDataError):
        return None


def whole_split(config: dict, split: str) -> Dataset:
    return build_dataset({**config, "dataset": with_known(config["dataset"], split=split, share=1.0, jitter=0)})


def split_of(config: dict) -> str:
    """The split that a run is trained on; what has none is taken for train."""
    return next((level["split"] for level in levels(config["dataset"]) if "split" in level), None) or "train"


def are_apart(split: str, other: str) -> bool:
    """Whether two splits share no pictures, by their names: train and train+unlabeled do, and all shares with any."""
    return "all" not in (split, other) and split not in other and other not in split


def labelled(config: dict, dataset: Dataset, key: str = "label") -> Labelled:
    """What a classifier of this data learns from: train and test split, or four fifths and a fifth of what there is.

    `key`: what the pictures are labelled with, "label" or "attributes".
    """
    if key not in dataset.gives:
        what = f"{key.removesuffix('s')}s"
        raise ConfigError(f"This data has no {what}, so that no classifier can learn from it: choose extractor=pixels.")
    settings = [level for level in levels(config["dataset"]) if "split" in level]
    is_whole = bool(settings) and settings[0]["split"] in (None, "train") and settings[0].get("share", 1.0) == 1.0
    train = dataset if is_whole else other_split(config, "train")
    train, test = digits_of(train or dataset), digits_of(other_split(config, "test")) if train else None
    test = test if test and key in test.gives else None
    order = chosen(len(train))
    fifth = 0 if test else len(train) // 5
    held = chosen(len(test), LEARNT[1]) if test else order[:fifth][: LEARNT[1]]
    learnt, examined = train.plain(order[fifth:][: LEARNT[0]]), (test or train).plain(held)
    pictures = [rows["image"].permute(0, 3, 1, 2) for rows in (learnt, examined)]
    count = train.num_classes if key == "label" else learnt[key].shape[1]
    return Labelled(pictures[0], learnt[key], pictures[1], examined[key], count)


def digits_of(dataset: Dataset | None) -> Dataset | None:
    """The grey digits of a stacked set, from which a judge of one colour learns; any other set as it is."""
    return dataset.digits if dataset is not None and dataset.digits is not None else dataset


# ---- extractors -----------------------------------------------------------------------------------------------------


def extractor_of(
    name: str | None, config: dict, dataset: Dataset, inception_weights: Path | None = None, seed: int = 0,
    architecture: str = "plain", say=print,
) -> Extractor | None:  # fmt: skip
    """The extractor of this name, or None for points, which are judged by the truth. Raises ConfigError, DataError.

    Where none is named, pixels judge in place of a classifier that has learned nothing.
    """
    if dataset.image_size is None:
        if not dataset.exact_samples:
            raise ConfigError("The distribution of these points is unknown, so there is nothing to evaluate them with.")
        if name is not None:
            raise ConfigError(f"extractor={name} is for images, and this run generates points: leave it out.")
        return None
    asked, name = name, name or ("classifier" if dataset.num_classes else "pixels")
    if name not in EXTRACTORS:
        raise ConfigError(f"extractor={name} is not known; choose {', '.join(EXTRACTORS)}.")
    if name == "pixels":
        return Pixels()
    if name == "inception":
        return inception.Inception(inception_weights or fetched_weights())
    grey = classifier(labelled(config, dataset), seed, architecture)
    if grey.says_little:
        how = f"{grey.accuracy:.2%} right on held-out pictures of {grey.classes} classes"
        if asked is not None:
            raise DataError(f"The classifier has learned nothing of this data ({how}): choose extractor=pixels.")
        say(f"The classifier learned nothing from this data ({how}), so pixels are used instead.")
        return Pixels()
    return grey if dataset.digits is None else PerColour(grey)


def fetched_weights() -> Path:
    """Inception's weights in the cache, downloaded when they are not there."""
    path = inception.cached_weights()
    if not path.is_file():
        download_file(path, [inception.ADDRESS], inception.SHA256, inception.missing(path), kind="sha256")
    return path
