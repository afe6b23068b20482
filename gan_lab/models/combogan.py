"""Translation among any number of domains, by an encoder and a decoder for each."""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from gan_lab.losses import Objective
from gan_lab.models.base import Game, Terms, losses
from gan_lab.models.fakes import ImagePool
from gan_lab.models.sources import ROWS, as_bytes, distance_of, from_bytes
from gan_lab.rows import Rows


class ComboGAN(Game):
    """A picture of any domain becomes one of any other by way of a code. Anoosheh et al. 2017 (arXiv 1712.06909).

    What is translated from domain a to b is b's decoder of a's encoder, so that n domains take n of each, where
    CycleGANs take one of n * (n - 1) / 2 pairs each (section 3). The paper plays one random pair of domains a step.
    Here every domain d has a partner d + 1 + step mod (n - 1), counted around, so that each round makes a picture of
    each domain out of another, nobody sits out, and n - 1 rounds see all ordered pairs.

    The encoders and decoders, one player, minimise what each domain's critic says, plus `cycle` times the mean
    `distance` of the way back. Of the official code, 0 unless set: `identity` times that of a picture by way of its own
    decoder, and `near` times that of a translation from its source, both of pictures halved by averages; and `latent`
    times that of the codes of a translation and of its source, rising from 0 within `latent_steps`. The critics see
    fakes through an `ImagePool` of `pool` for each domain. `reuse_fakes` as in CycleGAN.

    Encoders, decoders and discriminators are a network `Each`. The batch has a picture of each domain in "domain0",
    "domain1", ... A sample is made of its source, the domain of
    that and the one asked for (`to`); where the source is [N, domains, C, H, W], as of seeds, that of `domain` is
    translated.
    """

    players = {"discriminator": ("discriminators",), "generator": ("encoders", "decoders")}
    critics = ("discriminators",)
    averaged = ("encoders", "decoders")
    made_of = ("source", "domain", "to")
    translators = {"forth": "encoders"}
    given, along = "image", ("domain", "to")

    def __init__(
        self,
        encoders: nn.Module,
        decoders: nn.Module,
        discriminators: nn.Module,
        objective: Objective,
        num_domains: int,
        channels: int,
        image_size: int | list[int],
        cycle: float = 10.0,
        distance: Literal["l1", "l2", "smooth_l1"] = "l1",
        identity: float = 0.0,
        near: float = 0.0,
        latent: float = 0.0,
        latent_steps: int = 0,
        pool: int = 50,
        remember: int = 16,
        reuse_fakes: bool = False,
    ):
        super().__init__(objective)
        if num_domains < 2:
            raise ValueError(f"num_domains={num_domains} must be at least 2: set dataset=many_domains, for example.")
        weights = {"cycle": cycle, "identity": identity, "near": near, "latent": latent, "latent_steps": latent_steps}
        for name, weight in weights.items():
            if weight < 0:
                raise ValueError(f"{name}={weight} must not be negative.")
        if remember < 1:
            raise ValueError(f"remember={remember} must be at least 1 picture of each domain.")
        self.encoders, self.decoders, self.discriminators = encoders, decoders, discriminators
        self.weights, self.distance, self.num_domains = weights, distance_of(distance), num_domains
        self.pools = [ImagePool(pool, f"domain{d}") for d in range(num_domains)]
        self.needs = tuple(pool.name for pool in self.pools)
        self.keeps = dict.fromkeys(self.needs, remember)
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        self.register_buffer("known", torch.zeros(remember * num_domains, channels, height, width, dtype=torch.uint8))
        self.reuse(reuse_fakes)

    def discriminator_loss(self, batch: Rows, step: int) -> Terms:
        real, to, terms = self.real(batch), self.partners(step), Terms()
        fakes = self.last_fakes.take() if self.reuse_fakes else self.translations(self.codes(real), to)
        for fake, b in zip(fakes, to, strict=True):
            shown = self.pools[b](fake, self.noise)
            terms += self.judge(self.discriminators.networks[b], real[b], shown, step, str(b))
        return terms

    def generator_loss(self, batch: Rows, step: int) -> Terms:
        real, to, terms = self.real(batch), self.partners(step), Terms()
        codes = self.codes(real)
        fakes = self.translations(codes, to)
        self.last_fakes.keep(fakes)
        for a, (fake, b) in enumerate(zip(fakes, to, strict=True)):
            terms += self.fool(self.discriminators.networks[b], fake, real[b], step, str(b))
            terms += self.kept(real[a], codes[a], fake, a, b, step)
            networks = nn.ModuleList([self.encoders.networks[a], self.decoders.networks[b]])
            make = lambda rows, a=a, b=b: self.translate(rows["source"], a, b)
            terms += self.regularise(networks, real[a], make, str(a))
        return terms

    def kept(self, real: Tensor, code: Tensor, fake: Tensor, a: int, b: int, step: int) -> Terms:
        """What a translation from domain a to b costs that does not keep what it was made of."""
        cycle, identity, near = (self.weights[name] for name in ("cycle", "identity", "near"))
        latent, found = self.weights["latent"] * min(1.0, step / max(1, self.weights["latent_steps"])), {}
        if cycle or self.weights["latent"]:
            again = self.encoders(fake, b)
        if cycle:
            found["cycle"] = cycle * self.distance(self.decoders(again, a), real)
        if self.weights["latent"]:  # towards the code of the source, which stays: the official code's criterionLatent
            found["latent"] = latent * self.distance(again, code.detach())
        if identity:
            found["identity"] = identity * self.distance(halved(self.decoders(code, a)), halved(real))
        if near:
            found["near"] = near * self.distance(halved(fake), halved(real))
        return losses(**{f"{name}_{a}": term for name, term in found.items()})

    def partners(self, step: int) -> list[int]:
        """For each domain the one that its pictures are translated to in this round: each once, and none itself."""
        return [(d + 1 + step % (self.num_domains - 1)) % self.num_domains for d in range(self.num_domains)]

    def real(self, batch: Rows) -> list[Tensor]:
        return [batch[place] for place in self.needs]

    def codes(self, real: list[Tensor]) -> list[Tensor]:
        """The code of a picture of each domain, by its own encoder."""
        return [self.encoders(x, d) for d, x in enumerate(real)]

    def translations(self, codes: list[Tensor], to: list[int]) -> tuple[Tensor, ...]:
        """What each code becomes in the domain that it is sent to."""
        return tuple(self.decoders(code, b) for code, b in zip(codes, to, strict=True))

    def translate(self, pictures: Tensor, domain: int, to: int) -> Tensor:
        """Pictures of one domain as pictures of another, [N, C, H, W] in [-1, 1]."""
        return self.decoders(self.encoders(pictures, domain), to)

    # What is asked of it

    def keep(self, rows: Rows) -> None:
        for place, pictures in rows.items():
            places = torch.arange(self.keeps[place]) % len(pictures)
            self.known[self.needs.index(place) :: self.num_domains] = as_bytes(pictures)[places].to(self.known)

    def draw(self, seeds: Sequence[int]) -> Rows:
        """A known picture of each domain, the number of the one that is translated, and the number of another."""
        seeds, many = torch.tensor([int(seed) for seed in seeds], dtype=torch.int64), self.num_domains
        turns, domain = seeds // many, seeds % many
        places = (turns % (len(self.known) // many))[:, None] * many + torch.arange(many)  # [N, domains]
        source = from_bytes(self.known[places.to(self.known.device)], self.noise.device)
        to = (domain + 1 + turns % (many - 1)) % many
        return Rows(source=source, domain=domain.to(self.noise.device), to=to.to(self.noise.device))

    def sample(self, rows: Rows) -> Rows:
        """Pictures of the domains asked for, [N, C, H, W] in [-1, 1]."""
        source, domain, to = (rows[name] for name in self.made_of)
        source = source[torch.arange(len(source), device=source.device), domain] if source.dim() == 5 else source
        made = torch.empty_like(source)
        for a, b in torch.stack([domain, to], dim=1).unique(dim=0).tolist():
            these = (domain == a) & (to == b)
            made[these] = self.translate(source[these], a, b).to(made)
        return Rows(image=made)

    def returned(self, rows: Rows, made: Tensor) -> Tensor:
        return self.sample(rows.changed(source=made, domain=rows["to"], to=rows["domain"]))["image"]

    @property
    def translated_size(self) -> tuple[int, int]:
        return tuple(self.known.shape[2:])

    def translated_channels(self, direction: str) -> int:
        return self.known.shape[1]

    @property
    def main_critic(self) -> nn.Module:
        return self.discriminators.networks[0]

    def calibrate(self, batch: Rows) -> None:
        codes = self.codes(self.real(batch))
        for b in range(self.num_domains):  # whose decoder is given codes of all others
            self.decoders(torch.cat([code for a, code in enumerate(codes) if a != b]), b)

    def complaints(self, parts, name: str = "model") -> Iterator[str]:
        there = sum(column.startswith("domain") and column[6:].isdecimal() for column in parts.dataset.gives)
        if there and there != self.num_domains:
            yield (
                f"model.num_domains={self.num_domains}, and the dataset has {there} domains. "
                f"Set model.num_domains={there}."
            )
        else:
            yield from super().complaints(parts, name)
        uneven = [network for network in ("encoders", "decoders", "discriminators") if self.count(network) != there]
        if there == self.num_domains:
            for network in uneven:
                yield (
                    f"model.{network}.count={self.count(network)}, and there are {there} domains. "
                    f"Set model.{network}.count={there}."
                )

    def count(self, network: str) -> int:
        return len(getattr(self, network).networks)

    def preview(self, batch: Rows, rows: Rows, step: int) -> dict[str, Tensor]:
        """Each row one picture of the batch and what it becomes in every domain, its own too; some rows a domain."""
        real, many = self.real(batch), self.num_domains
        each = min(max(1, ROWS // many), len(real[0]))
        codes = self.codes([x[:each] for x in real])
        made = [torch.stack([x[:each], *(self.decoders(code, b).to(x) for b in range(many))], dim=1)
                for x, code in zip(real, codes, strict=True)]  # fmt: skip
        return {"fixed": torch.cat(made), **self.compared(real[1], self.translate(real[0], 0, 1), step)}

    def get_extra_state(self) -> dict:
        return {"pools": {pool.name: pool.state() for pool in self.pools}}

    def set_extra_state(self, state: dict) -> None:
        for pool in self.pools:
            pool.load(state["pools"][pool.name])


def halved(pictures: Tensor) -> Tensor:
    """Pictures by their averages over 3 x 3 pixels, at every other place."""
    return avg_pool2d(pictures, 3, stride=2)
