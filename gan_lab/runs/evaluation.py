"""How samples are judged: against which real data, in whose features, and what is written down of it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from gan_lab.config.settings import judges
from gan_lab.datasets import Dataset
from gan_lab.datasets.base import chosen, in_play
from gan_lab.errors import ConfigError, DataError
from gan_lab.metrics import Extractor, Features, Figure, Protocol, cheap_names, judge, look
from gan_lab.metrics import features as extracted
from gan_lab.metrics.classes import label_accuracy, purity
from gan_lab.metrics.classifier import classifier
from gan_lab.metrics.features import bytes_of
from gan_lab.metrics.judgement import OF_PAIRS
from gan_lab.metrics.neighbours import diversity, nearest
from gan_lab.metrics.pairs import pair_figures
from gan_lab.metrics.probe import told_apart
from gan_lab.metrics.store import digest, kept
from gan_lab.models import Game
from gan_lab.models.groups import altered, lacking, numbered, together
from gan_lab.rows import Rows
from gan_lab.runs.domains import IMAGE, as_images, domain_reader, share_of
from gan_lab.runs.references import are_apart, labelled, labelled_as, reference_of, split_of
from gan_lab.runs.run import Run
from gan_lab.version import __version__
from gan_lab.wording import counted

FIRST_SEED = 20_000_000  # of the latents of a report; far from those that pictures and evaluation in training use
REFERENCE = 50_000  # real pictures whose moments a report takes at most
FEATURES = 200_000  # training pictures whose features are kept, at most; those of larger sets are made anew each time
SAMPLES, SAMPLES_STACKED = 10_000, 26_000  # of a report; the second is Metz et al. 2017, section 3.3.1
PROBED = 4000  # rows from whose codes a probe learns, and as many on which it is tried, at most
CONDITIONED = 2000  # samples that are asked for a class, at most
AT_ONCE = 100  # pictures that pass through a network together


class Judge:
    """Judges samples against one set of real data: by the truth where it is known, else in an extractor's features.

    `split` names the real data in every protocol; at most `most` of it are looked at, once, and kept by content.
    `picture` is the column of the data, and of samples, that is looked at.
    """

    def __init__(
        self,
        reference: Dataset,
        split: str,
        extractor: Extractor | None,
        most: int = REFERENCE,
        device: torch.device | str = "cpu",
        picture: str = "image",
    ):
        self.reference, self.split, self.most, self.device = reference, split, most, torch.device(device)
        self.picture = picture
        self.extractor = extractor.to(self.device) if extractor else None

    def figures(
        self, samples: Iterable[Tensor], *, step: int, weights: str, batch_norm: str, seed: int, cheap: bool = False
    ) -> list[Figure]:
        """Every figure of samples that come in batches: pictures [N, C, H, W] in [-1, 1], or points [N, D].

        Those of a further picture of a sample have its name behind theirs.
        """
        facts = {"weights": weights, "batch_norm": batch_norm, "seed": seed, "version": __version__}
        if self.extractor is None:
            points = torch.cat([batch.float().cpu() for batch in samples])
            values = {f"exact/{name}": value for name, value in self.reference.exact(points).items()}
            protocol = Protocol("truth", 0, len(points), "none", "none", **facts)
        else:
            fake = look(self.extractor, (bytes_of(batch).to(self.device) for batch in samples), "samples")
            values = judge(self.real, fake, self.extractor, self.label_counts, cheap)
            looks = (self.extractor.about, self.extractor.resize)
            protocol = Protocol(self.split, self.real.count, fake.count, *looks, **facts)
            self.fake = fake
        more = "" if self.picture == "image" else f"/{self.picture}"
        precise = lambda name: self.precisely(name, protocol)
        return [Figure(f"{name}{more}", float(value), step, precise(name)) for name, value in values.items()]

    def precisely(self, name: str, protocol: Protocol) -> Protocol:
        """The protocol of one figure: what looks at pairs sees no more samples than are kept; a score has splits."""
        kind = name.partition("/")[0]
        if kind in OF_PAIRS:
            real, fake = min(protocol.reference_count, extracted.KEPT), min(protocol.samples, extracted.KEPT)
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
    def real(self) -> Features:
        """The reference as the extractor sees it; from the cache where the same pictures were seen before."""
        contents = digest(*map(digest, self.batches()))
        splits = ["splits", self.extractor.splits] if self.extractor.guesses else []
        name = f"reference-{self.extractor.title}-{digest(contents, self.extractor.identity, self.split, *splits)}"
        images = (images.to(self.device) for images in self.batches())
        return Features.of(kept(name, lambda: look(self.extractor, images, "real pictures").state_dict()))

    @property
    def label_counts(self) -> Tensor | None:
        known = self.reference.labels is not None and self.reference.num_classes == self.extractor.classes
        return torch.bincount(self.reference.labels, minlength=self.extractor.classes) if known else None

    @property
    def chosen(self) -> Tensor:
        """The rows of real pictures that are looked at: all, or a fixed choice; none twice."""
        rows = self.reference.once(self.picture)
        return rows[chosen(len(rows), self.most)]

    def batches(self) -> Iterator[Tensor]:
        """Real pictures as bytes, uint8 [N, C, H, W], in the order of `chosen`."""
        return pictures_of(self.reference, self.chosen, self.picture)


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
    facts = {"step": run.state["step"], "weights": run.weights, "batch_norm": run.batch_norm, "seed": seeds[0]}
    figures = measured(run.game, reference, split, device=run.device, **facts)
    if not run.game.makes:
        if not figures:
            raise ConfigError("This run makes no pictures and has no figures of its own: there is nothing to evaluate.")
        return figures
    made, *others = (Judge(reference, split, looker, device=run.device, picture=name) for name in run.game.makes)
    rows = materials(run.game, reference, seeds)
    figures = made.figures(drawn(run.game, rows), **facts) + figures
    for other in others:
        figures += other.figures(drawn(run.game, rows, other.picture), **facts)
    figures += translated(run, reference, seeds, figures[0]) if "source" in run.game.made_of else []
    if {"source", "image"} <= {*run.game.made_of, *run.game.makes}:
        figures += agreement(run, reference, seeds[:CONDITIONED], extractor, figures[0], say)
        figures += domains_told(run, reference, split, figures[0])
    if looker is not None:
        figures += crossed(run, reference, rows, looker, figures[0])
        for column in run.game.conditions:
            figures += obedience(run, made, column, seeds[:CONDITIONED], figures[0], say)
            figures += alteration(run, made, column, seeds[:CONDITIONED], figures[0], say)
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
    for part in tqdm(
        rows.split(extracted.KEPT), desc="training pictures", unit="chunk", delay=5, disable=None, leave=False
    ):
        make = lambda part=part: {
            "features": torch.cat([extractor(x.to(device))[0].float().cpu() for x in pictures_of(dataset, part)])
        }
        contents = digest(*map(digest, pictures_of(dataset, part))) if len(rows) <= FEATURES else None
        name = f"features-{extractor.title}-{digest(contents, extractor.identity)}"
        yield (kept(name, make) if contents else make())["features"]


def pictures_of(dataset: Dataset, rows: Tensor, column: str = "image") -> Iterator[Tensor]:
    """Pictures of some rows as they are judged, uint8 [n, C, H, W], some at a time."""
    for part in rows.split(AT_ONCE):
        yield dataset.plain(part)[column].permute(0, 3, 1, 2)


def materials(game: Game, dataset: Dataset, seeds: range) -> Rows:
    """What samples are made of: what seeds have; of a game that translates, as many sources of the data."""
    if "source" not in game.made_of:
        return game.draw(seeds)
    which = chosen(len(dataset), len(seeds))
    source = in_play(dataset.plain(which)[game.given]).to(game.noise.device)
    drawn = game.draw(seeds[: len(which)]) if game.conditions else Rows()
    along = dataset.columns(which, *game.along, device=game.noise.device) if game.along else {}
    return drawn.changed(source=source, **along)


@torch.no_grad()
def measured(
    game: Game, reference: Dataset, split: str, *, step: int, weights: str, batch_norm: str, seed: int,
    most: int = REFERENCE, device: torch.device | str = "cpu",
) -> list[Figure]:  # fmt: skip
    """A game's own figures, as means over the reference: of a game without pictures the only ones."""
    which, sums = chosen(len(reference), most), dict.fromkeys(game.measures, 0.0)
    for part in which.split(AT_ONCE) if sums else ():
        for name, value in game.measure(reference.columns(part, device=device)).items():
            sums[name] += float(value) * len(part)
    facts = {"weights": weights, "batch_norm": batch_norm, "seed": seed, "version": __version__}
    protocol = Protocol(split, len(which), len(which), "none", "none", **facts)
    return [Figure(name, total / len(which), step, protocol) for name, total in sums.items()]


@torch.no_grad()
def translated(run: Run, reference: Dataset, seeds: range, like: Figure) -> list[Figure]:
    """How near translations come to what they should be, where that is known, and how near the way back ends.

    `pairs`: to the image of the pair; `truth`: to what a formula makes of the source, beside what the source itself
    differs from that; `way_back`: of a two-way game, from where it began.
    """
    rows = materials(run.game, reference, seeds)
    sources, made, values = rows["source"], torch.cat([*drawn(run.game, rows)]).cpu(), {}
    if reference.paired:
        wanted = in_play(reference.plain(chosen(len(reference), len(seeds)))["image"])
        values |= {f"{name}/pairs": value for name, value in nearness(made, wanted).items()}
    truth = reference.truth(sources.cpu(), **{name: rows[name].cpu() for name in run.game.conditions})
    if truth is not None:
        values |= {f"{name}/truth": value for name, value in nearness(made, truth).items()}
        values["l1_of_source/truth"] = float((sources.cpu() - truth).abs().mean())
    both = zip(rows.split(AT_ONCE), made.to(run.device).split(AT_ONCE), strict=True)
    back = [run.game.returned(*each) for each in both]
    if back[0] is not None:
        values["l1/way_back"] = float((torch.cat(back) - sources).abs().mean())
    protocol = replace(like.protocol, samples=len(sources), extractor="none", resize="none")
    return [Figure(name, value, like.step, protocol) for name, value in values.items()]


@torch.no_grad()
def agreement(
    run: Run, reference: Dataset, seeds: range, extractor: str | None, like: Figure, say=print
) -> list[Figure]:
    """Whether the two pictures of a pair, a source and an image, are of the same thing.

    `pair_accuracy`: the share that classifiers, one for each domain, read as the same class. `pixel_agreement`, of
    pairs that a game draws: the share of pixels that lie on the same side of mid grey in the image and in what the
    truth makes of the source (Liu and Tuzel 2016, arXiv 1606.07536, section 4).
    """
    rows, values, readers = materials(run.game, reference, seeds), {}, []
    sources, images = pairs_of(run.game, rows)
    truth = reference.truth(sources) if "source" in run.game.makes else None
    if truth is not None:
        values["pixel_agreement/truth"] = float(((images > 0) == (truth > 0)).double().mean())
    if extractor is None:
        readers = class_readers(run)
        if any(reader.says_little for reader in readers):
            say("Nothing could be learned of the classes in one of the domains, so nobody can say whether pairs agree.")
            readers = []
    if readers:
        read = [
            torch.cat([reader(bytes_of(part).to(run.device))[1].cpu() for part in pictures.split(AT_ONCE)])
            for reader, pictures in zip(readers, (sources, images), strict=True)
        ]
        values["pair_accuracy/classifier"] = label_accuracy(read[0], read[1].argmax(dim=1))
    about = " and ".join(reader.about for reader in readers) or "none"
    protocol = replace(like.protocol, samples=len(sources), extractor=about, resize="none")
    return [Figure(name, value, like.step, protocol) for name, value in values.items()]


def domains_told(run: Run, reference: Dataset, split: str, like: Figure) -> list[Figure]:
    """How much codes tell of the domain that they come from: `domain_told`, where a game has codes of both.

    The share that a fresh probe, which learns from the codes of the training data, has right of other pictures' codes:
    those of the reference where that is another split, else a fifth that is held back. 0.5: nothing is told.
    """
    apart = are_apart(split_of(run.config), split)
    learnt = codes_of(run.game, run.dataset, chosen(len(run.dataset), PROBED), run.device)
    if learnt is None:
        return []
    if apart:
        held = codes_of(run.game, reference, chosen(len(reference), PROBED), run.device)
    else:
        fifth = len(learnt[0]) // 5
        learnt, held = [x[fifth:] for x in learnt], [x[:fifth] for x in learnt]
    value, count = told_apart(*learnt, *held), sum(map(len, held))
    protocol = replace(like.protocol, samples=count, reference_count=count, extractor="a fresh probe", resize="none")
    return [Figure("domain_told/probe", value, like.step, protocol)]


@torch.no_grad()
def codes_of(game: Game, dataset: Dataset, rows: Tensor, device: torch.device) -> list[Tensor] | None:
    """The codes of sources and of images, [N, D] each; None of a game that has none."""
    codes = {"source": [], "image": []}
    if not {*codes} <= {*dataset.gives}:
        return None
    for part in rows.split(AT_ONCE):
        pictures = dataset.columns(part, device=device)
        for column, found in codes.items():
            code = game.code_of(pictures[column], column)
            if code is None:
                return None
            found.append(code.float().cpu())
    return [torch.cat(found) for found in codes.values()]


def pairs_of(game: Game, rows: Rows) -> tuple[Tensor, Tensor]:
    """Sources and images that belong together, [N, C, H, W] on the CPU: both drawn, or given and translated."""
    game.noise.at("evaluate")
    made = Rows.joined(game.sample(part).each(Tensor.cpu) for part in rows.split(AT_ONCE))
    return (made if "source" in made else rows)["source"].cpu(), made["image"]


def class_readers(run: Run, seed: int = 0, architecture: str = "plain") -> list[Extractor]:
    """What reads the class from a source, and what from an image; none where the data's classes are not known."""
    data = [labelled_as(run.config, run.dataset, column) for column in ("source", "image")]
    if None in data:
        return []
    with torch.enable_grad():
        return [classifier(each, seed, architecture).to(run.device) for each in data]


def crossed(run: Run, reference: Dataset, rows: Rows, extractor: Extractor, like: Figure) -> list[Figure]:
    """What translations between domains of the same classes are taken for; nothing where these are not known.

    `class_kept`: the share that a reader of images takes for the class of their source; `domain_reached`: the share
    that a reader of the two domains takes for images, beside `domain_of_source`, what it says of the sources.
    """
    known = "source" in rows and "source_label" in reference.gives
    reader = reader_of(run, "label", extractor) if known else None
    if reader is None:
        return []
    labels = reference.columns(chosen(len(reference), rows.count), "source_label")["source_label"]
    wanted, made = reference.readable("source_label", labels)[1], torch.cat([*drawn(run.game, rows)]).cpu()
    with torch.enable_grad():
        domains = domain_reader(run.dataset).to(run.device)
    sources = in_play(as_images(bytes_of(rows["source"].cpu()), made.shape[1]).permute(0, 2, 3, 1))
    found = [("class_kept", share_of(reader, made, wanted, run.device), reader)]
    found += [("domain_reached", share_of(domains, made, IMAGE, run.device), domains)]
    found += [("domain_of_source", share_of(domains, sources, IMAGE, run.device), domains)]
    protocol = lambda judge: replace(like.protocol, samples=len(made), extractor=judge.about)
    return [Figure(f"{name}/{judge.title}", value, like.step, protocol(judge)) for name, value, judge in found]


def nearness(made: Tensor, wanted: Tensor) -> dict[str, float]:
    """Mean differences of pictures; PSNR and SSIM too where torchmetrics is there and the pictures are large enough."""
    if min(made.shape[-2:]) >= 11 and find_spec("torchmetrics"):
        return pair_figures(made, wanted)
    return {"l1": float((made - wanted).abs().mean())}


@torch.no_grad()
def obedience(run: Run, made: Judge, column: str, seeds: range, like: Figure, say=print) -> list[Figure]:
    """Whether samples are what a column of their rows asks for, by a reader that has learned this column of the data.

    Of labels each class is asked for as often, of other columns what the reference has. `label_accuracy` and the like
    are the shares that are right, of attributes each by itself. `class_diversity` is the mean distance between two
    samples of one class, over that between two real pictures of it, as a mean over the classes: 0 where a class has one
    picture, 1 where samples differ as the data does.
    """
    if column not in made.reference.gives:
        return []
    if column == "label":
        values = torch.arange(len(seeds)) % run.dataset.num_classes
    else:  # what a picture has already is no question to a game that changes pictures
        values = made.reference.columns(chosen(len(made.reference), len(seeds)), column)[column]
        values = values if column in run.game.along else values.roll(1, dims=0)
    wanted = run.dataset.readable(column, values)
    reader = wanted and reader_of(run, wanted[0], made.extractor, say)
    if not reader:
        return []
    rows = materials(run.game, made.reference, seeds[: len(values)])
    rows = rows.at(slice(len(values))).changed(**{column: values.to(rows.device)})
    looked = [reader(bytes_of(part).to(run.device)) for part in drawn(run.game, rows)]
    features, read = (torch.cat(parts).cpu() for parts in zip(*looked, strict=True))
    right = label_accuracy if wanted[0] == "label" else reader.accuracy_of
    figures = {f"{column.removesuffix('s')}_accuracy": right(read, wanted[1][: len(read)])}
    if reader is made.extractor:
        figures |= diversities(made, features, values[: len(features)])
    protocol = replace(like.protocol, samples=rows.count, extractor=reader.about)
    return [Figure(f"{name}/{reader.title}", value, like.step, protocol) for name, value in figures.items()]


def alteration(run: Run, made: Judge, column: str, seeds: range, like: Figure, say=print) -> list[Figure]:
    """Whether pictures of the data that are changed get the attribute that is asked for and keep the others."""
    reference, given = made.reference, run.game.given
    if column != "attributes" or given not in run.game.makes or not {given, column} <= {*reference.gives}:
        return []
    reader = reader_of(run, column, made.extractor, say)
    if not reader:
        return []
    count, shares = altered_shares(run.game, reference, reader, seeds, run.device)
    protocol = replace(like.protocol, samples=count, extractor=reader.about)
    return [Figure(f"{name}/{reader.title}", value, like.step, protocol) for name, value in shares.items()]


@torch.no_grad()
def altered_shares(
    game: Game, reference: Dataset, reader: Callable, seeds: range, device: torch.device | str = "cpu"
) -> tuple[int, dict[str, float]]:
    """How many pictures were changed, and how often a reader of attributes finds them as they should be.

    Each picture of the data is asked for one attribute that it lacks, or to lose one that it has and that is in no
    group; all are asked for as often. `asked` is the share in which that is so, `kept` the share of what else there is,
    groups as a whole and attributes that are in none, that is as before.
    """
    own = reference.columns(chosen(len(reference), len(seeds)), "attributes")["attributes"]
    groups = numbered(reference.attribute_groups, own.shape[1])
    which = lacking(own, groups)
    wanted, same = altered(own, which, groups), together(groups)
    others = ~same[which] & (groups == torch.arange(len(groups)))  # by the first of each group
    rows = materials(game, reference, seeds)
    rows = rows.changed(attributes=wanted.to(rows.device))
    read = torch.cat([reader(bytes_of(part).to(device))[1].cpu() for part in drawn(game, rows)])
    right = (read > 0.5) == wanted.bool()
    whole = (~right).float() @ same.float() == 0
    shares = {"asked": right.gather(1, which[:, None]), "kept": whole[others]}
    return len(right), {name: float(share.double().mean()) for name, share in shares.items() if len(share)}


def reader_of(run: Run, column: str, extractor: Extractor, say=print) -> Extractor | None:
    """What reads a column from pictures: the extractor where it knows the classes, else one that learns it; or None."""
    if column == "label" and extractor.classes:
        return extractor if extractor.classes == run.dataset.num_classes else None
    if column == "label":
        return None
    with torch.enable_grad():
        reader = classifier(labelled(run.config, run.dataset, column))
    if reader.says_little:
        say(f"Nothing could be learned of this data's {column}, so nobody can say whether samples have them.")
        return None
    return reader.to(run.device)


def diversities(made: Judge, features: Tensor, wanted: Tensor) -> dict[str, float]:
    """How varied the samples of each class are, as a share of how varied real pictures of it are; or nothing."""
    real, many = made.real.features, made.reference.num_classes
    if made.reference.labels is None:
        return {}
    labels = made.reference.labels[made.chosen[: len(real)]]
    values = {}
    counts = [torch.bincount(each, minlength=many) for each in (wanted, labels)]
    if min(map(torch.min, counts)) > 1:  # else there are no two samples, or pictures, of some class
        apart = [diversity(real[labels == c]) for c in range(many)]
        if min(apart) > 0:  # else the pictures of some class are all one
            varied = [diversity(features[wanted == c]) / apart[c] for c in range(many)]
            values["class_diversity"] = sum(varied) / many
    return values


@torch.no_grad()
def meaning(run: Run, extractor: Extractor, seeds: range, like: Figure) -> list[Figure]:
    """What each categorical code stands for, by the classes of samples: `purity`, with each value equally often."""
    figures, counts = [], getattr(run.game, "codes", ()) if "code" in run.game.made_of and extractor.classes else ()
    for i in [i for i, count in enumerate(counts) if count > 1]:
        values = torch.arange(len(seeds)) % counts[i]
        rows = run.rows(seeds)
        for value in range(counts[i]):
            rows["code"][values == value] = run.with_part(rows.at(values == value), "code", str(i), value)["code"]
        found = [extractor(bytes_of(part).to(run.device))[1].cpu() for part in drawn(run.game, rows)]
        protocol = replace(like.protocol, samples=len(seeds))
        share, named = purity(torch.cat(found), values)
        names = (f"code_purity/{i}/{extractor.title}", share), (f"classes_named/{i}/{extractor.title}", float(named))
        figures += [Figure(name, value, like.step, protocol) for name, value in names]
    return figures


@torch.no_grad()
def drawn(game: Game, rows: Rows, picture: str | None = None) -> Iterator[Tensor]:
    """Pictures of samples, some at a time: the first of each sample, or another one; the game is in eval mode."""
    game.noise.at("evaluate")
    for part in rows.split(AT_ONCE):
        yield game.sample(part)[picture or game.makes[0]]


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
    options = {"weights": inception_weights, "seed": seed, "architecture": architecture}
    if name is not None:
        if name not in judges():
            raise ConfigError(f"extractor={name} is not known; choose {', '.join(judges())}.")
        return judge_of(name)(config, dataset, **options)
    if not dataset.num_classes:
        return judge_of("pixels")(config, dataset)
    try:
        return judge_of("classifier")(config, dataset, **options)
    except DataError as error:
        say(f"{str(error).rpartition(': choose')[0]}, so pixels are used instead.")
        return judge_of("pixels")(config, dataset)


def judge_of(name: str) -> Callable[..., Extractor]:
    """What makes the extractor of a judge."""
    return import_module(f"gan_lab.runs.judges.{name}").extractor
