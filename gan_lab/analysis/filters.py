"""What the discriminator looks for: its first filters, and the parts of pictures that excite its last features."""

import torch
from torch import Tensor, nn

from gan_lab import pictures
from gan_lab.analysis.base import Finding, pictures_only, real
from gan_lab.analysis.linear import critic_of, layers_of, untrained
from gan_lab.models import Game
from gan_lab.runs.run import Run


def filters(run: Run, *, units: int = 8, strongest: int = 4, n: int = 500) -> Finding:
    """First-layer filters, and what in real pictures excites the deepest features most.

    `units` of the last layer, those that vary most over `n` real pictures; of each the `strongest` pictures, and below
    them what guided back-propagation of the activation leaves. Springenberg et al. 2015 (arXiv 1412.6806), section 3.4;
    Radford et al. 2016 (arXiv 1511.06434), section 6.2. Figure: `focus`, the share of a picture's pixels that hold nine
    tenths of that gradient, by the mean, and `focus/random` for untrained weights.
    """
    pictures_only(run, "filters")
    images = real(run, n)
    guided, chosen, focus = excited(run.game, images, units, strongest)
    _, _, of_random = excited(untrained(run), images, units, strongest)
    rows = torch.cat([torch.cat([images[which], look]) for which, look in zip(chosen, guided, strict=True)])
    shown = first_filters(layers_of(run.game, images)[0], images)
    return Finding(
        {"focus": focus, "focus/random": of_random},
        {"first": pictures.grid(shown, columns=8), "guided": pictures.grid(rows, columns=2 * strongest)},
        [f"guided: a row is one feature of the last layer: the {strongest} pictures that excite it most, and beside "
         "them what in these does (grey changes nothing). first: the filters of the first layer."],
    )  # fmt: skip


def first_filters(layer: nn.Module, images: Tensor) -> Tensor:
    """Weights of the first layer as pictures, [units, C, h, w] in [-1, 1], the strongest first; 64 at most."""
    weight = layer.weight.detach()
    if weight.dim() == 2:
        weight = weight.view(len(weight), -1, *images.shape[2:])
    weight = weight[:, : images.shape[1]]
    weight = weight[weight.flatten(1).norm(dim=1).argsort(descending=True)][:64]
    return weight / weight.flatten(1).abs().amax(dim=1).clamp(min=1e-12).view(-1, 1, 1, 1)


def excited(game: Game, images: Tensor, units: int, strongest: int) -> tuple[list[Tensor], list[Tensor], float]:
    """For each unit what guided back-propagation leaves and which pictures it was, and how focused it is."""
    layer = layers_of(game, images)[-1]
    kept = {}
    hook = layer.register_forward_hook(lambda m, _, out: kept.__setitem__("out", out))
    try:
        with torch.no_grad():
            game.critic(images)
            response = kept["out"].float().flatten(2).amax(dim=2) if kept["out"].dim() == 4 else kept["out"].float()
        best = response.std(dim=0).argsort(descending=True)[:units].tolist()
        chosen = [response[:, unit].topk(min(strongest, len(images))).indices for unit in best]
        looks = [guided_gradient(game, kept, images[which], unit) for which, unit in zip(chosen, best, strict=True)]
    finally:
        hook.remove()
    size = torch.cat(looks).abs().sum(dim=1).flatten(1)  # [N, H * W]
    mass = size.sort(dim=1, descending=True).values.cumsum(dim=1)
    needed = (mass < 0.9 * mass[:, -1:]).double().mean(dim=1)
    scaled = [look / look.flatten(1).abs().amax(dim=1).clamp(min=1e-12).view(-1, 1, 1, 1) for look in looks]
    return scaled, chosen, float(needed.mean())


def guided_gradient(game: Game, kept: dict, images: Tensor, unit: int) -> Tensor:
    """The gradient of a unit's strongest activation, through rectifiers only where it and their input are positive."""
    hooks = []
    for module in critic_of(game).modules():
        if isinstance(module, nn.ReLU | nn.LeakyReLU):
            hooks.append(module.register_forward_hook(lambda m, args, out: GuidedReLU.apply(args[0])))
    try:
        with torch.enable_grad():
            pixels = images.clone().requires_grad_(True)
            game.critic(pixels)
            out = kept["out"].float()
            strongest = out[:, unit].flatten(1).amax(dim=1) if out.dim() == 4 else out[:, unit]
            return torch.autograd.grad(strongest.sum(), pixels)[0]
    finally:
        for hook in hooks:
            hook.remove()


class GuidedReLU(torch.autograd.Function):
    """max(x, 0) whose gradient passes where both the input and the gradient itself are positive."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient.clamp(min=0) * (x > 0)
