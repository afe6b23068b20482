"""Processes that torchrun started beside the one that reads the command line."""

import os


def is_follower() -> bool:
    """Whether torchrun started this process beside the one that reads the command line."""
    return "WORLD_SIZE" in os.environ and os.environ.get("RANK", "0") != "0"


def follow() -> int:
    from gan_lab.launch import launch

    launch.follow()
    return 0
