"""What a dataset that is made from another one asks of it."""

from gan_lab.datasets.base import Dataset, check_fact


def check_of(of: Dataset, channels: int, image_size: int | list[int] | None) -> None:
    """Whether pictures can be made from this dataset, and whether the facts are its own."""
    if not isinstance(of, Dataset) or of.image_size is None:
        raise ValueError("of must be a dataset of pictures: choose one with dataset.of=digits, for example.")
    if of.jitter:
        raise ValueError(f"of.jitter={of.jitter} is for what trains on the set itself: leave dataset.of.jitter=0.")
    check_fact("channels", channels, of.channels)
    sides = tuple(image_size) if isinstance(image_size, list) else (image_size, image_size)
    if sides != of.image_size:
        raise ValueError(
            f"image_size={image_size}, but the pictures of dataset.of have {of.image_size[0]} x {of.image_size[1]} "
            "pixels: set dataset.of.image_size instead."
        )
