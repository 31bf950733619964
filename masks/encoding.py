"""Batches of pictures for an encoder: each picture once, as many at a time as the device is likely to hold."""

from __future__ import annotations

import numpy as np

from removal.weights.batches import Batches
from removal.weights.devices import as_many_as_fit

PIXELS = {"cpu": 1 << 20, "cuda": 8 << 20}  # pixels in one batch of an encoder: on a GPU 8 pictures of 1024×1024
LESS = "to find anything in a single picture; a smaller segmenter takes less (such as sam:vit_b)"


def batches_for(device: str, side: int) -> Batches:
    """Batches for an encoder of side×side pixels."""
    return Batches(as_many_as_fit(PIXELS, device, side), less=LESS)


def rows_of(images: list[np.ndarray]) -> list[list[int]]:
    """The rows of every distinct image of a list, in order."""
    rows: dict[int, list[int]] = {}
    for k, image in enumerate(images):
        rows.setdefault(id(image), []).append(k)
    return [*rows.values()]
