"""On which side a figure is better, by its name; read without torch, by what compares runs and what trains them."""

HIGHER = {"asked", "class_diversity", "class_kept", "classes_named", "code_purity", "coverage", "density",
          "domain_reached", "good_share", "kept", "least_class_share", "modes", "pixel_agreement", "precision", "psnr",
          "quality", "recall", "score", "ssim"}  # fmt: skip
LOWER = {"distance", "domain_told", "fid", "kid", "l1", "reverse_kl"}  # of others, as a loss, no side is better
BEFORE = ("evaluation/", "exact/")  # what may stand before the word


def better(name: str) -> int:
    """1 where more is better, -1 where less is, 0 where neither is known."""
    for prefix in BEFORE:
        name = name.removeprefix(prefix)
    word = name.partition("/")[0]
    return 1 if word in HIGHER or word.endswith("_accuracy") else -1 if word in LOWER else 0
