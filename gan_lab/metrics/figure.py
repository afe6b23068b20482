"""A value and all that it depends on: no figure stands alone."""

from dataclasses import asdict, dataclass

from gan_lab.storage.sides import better


@dataclass(frozen=True)
class Protocol:
    """What made a figure; two figures may be compared only where all of it is the same."""

    reference: str  # the split of real data: train, test, ...; truth: a known density
    reference_count: int
    samples: int
    extractor: str
    resize: str
    weights: str  # ema or raw
    batch_norm: str  # eval: the weights' own statistics; copied: an average's, of the raw weights; none: no batch norm
    seed: int  # of the first latent
    version: str  # of gan-lab

    def __str__(self) -> str:
        real = "the truth" if self.reference == "truth" else f"{self.reference_count:,} real of {self.reference}"
        looked = "" if self.extractor == "none" else f"; {self.extractor}, resize {self.resize}"
        own = f"{self.samples:,} samples of {self.weights} weights, batch norm {self.batch_norm}, seed {self.seed}"
        return f"{own}; {real}{looked}; gan-lab {self.version}"


@dataclass(frozen=True)
class Figure:
    """A value, its name with the extractor in it, the step of the weights, and the protocol."""

    name: str
    value: float
    step: int
    protocol: Protocol

    def as_dict(self) -> dict:
        return {"value": self.value, "step": self.step, "protocol": asdict(self.protocol)}


def called(name: str, extractor: str) -> str:
    """The full name of a figure: Inception alone makes a FID and a KID, all else says whose features it is of."""
    return name if extractor == "inception" and name in ("fid", "kid") else f"{name}/{extractor}"


def lower_is_better(name: str) -> bool:
    """Whether a figure, by its full name, gets better as it falls."""
    return better(name) < 0
