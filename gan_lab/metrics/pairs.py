"""How near each picture comes to the one that it was to be: L1, PSNR and SSIM, the last two from torchmetrics."""

from torch import Tensor

from gan_lab.errors import ConfigError

RANGE = (-1.0, 1.0)


def pair_figures(made: Tensor, wanted: Tensor) -> dict[str, float]:
    """Means over pairs of pictures [N, C, H, W] in [-1, 1]: `l1` of values, `psnr` in dB of each pair, `ssim`.

    SSIM has a Gaussian window of 11 pixels and sigma 1.5 (Wang et al. 2004, section III.B); the smaller side must have
    as many. Raises ConfigError where the optional package is missing, ValueError where the pairs do not match.
    """
    if made.shape != wanted.shape or made.dim() != 4:
        raise ValueError(f"pairs need two sets [N, C, H, W] of one shape, not {[*made.shape]} and {[*wanted.shape]}.")
    if min(made.shape[-2:]) < 11:
        raise ValueError(f"SSIM looks through a window of 11 pixels; pictures of {[*made.shape[-2:]]} are too small.")
    try:
        from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure
    except ImportError as error:
        raise ConfigError(
            "PSNR and SSIM need the package torchmetrics: pip install torchmetrics, or the extra [pairs]."
        ) from error
    made, wanted = made.float().clamp(*RANGE), wanted.float().clamp(*RANGE)
    psnr = peak_signal_noise_ratio(made, wanted, data_range=RANGE, dim=(1, 2, 3), reduction="elementwise_mean")
    ssim = structural_similarity_index_measure(made, wanted, data_range=RANGE)
    return {"l1": float((made - wanted).abs().mean()), "psnr": float(psnr), "ssim": float(ssim)}
