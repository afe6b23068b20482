"""On which side a figure is better, by its name; read without torch, by what compares runs and what trains them."""

HIGHER = {"class_diversity", "class_kept", "classes_named", "code_purity", "coverage", "density", "domain_reached",
          "good_share", "least_class_share", "modes", "precision", "psnr", "quality", "recall", "score",
          "ssim"}  # fmt: skip
LOWER = {"distance", "fid", "kid", "l1", "reverse_kl"}  # of what stands in neither, as a loss, no side is better
BEFORE = ("evaluation/", "exact/")  # what may stand before the word


def better(name: str) -> int:
    """1 where more is better, -1 where less is, 0 where neither is known."""
    for prefix in BEFORE:
        name = name.removeprefix(prefix)
    word = name.partition("/")[0]
    return 1 if word in HIGHER or word.endswith("_accuracy") else -1 if word in LOWER else 0
