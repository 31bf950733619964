"""Batches that fit: as many pictures at once as a device is likely to hold, and half as many whenever it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

Row = TypeVar("Row")
Done = TypeVar("Done")

PIXELS = {"cpu": 1 << 20, "cuda": 8 << 20}  # in one batch of an encoder: on a GPU 8 pictures of 1024×1024


@dataclass
class Batches:
    """Has rows worked on, `size` at a time. Halves `size` for good whenever that many do not fit."""

    size: int

    def __call__(self, work: Callable[[list[Row]], list[Done]], rows: list[Row]) -> Iterator[Done]:
        """What `work` makes of each row. Raises MemoryError where a single one does not fit."""
        first = 0
        while first < len(rows):
            some = rows[first : first + self.size]
            done = _unless_too_large(work, some)
            if done is not None:
                yield from done
                first += len(some)
            elif len(some) > 1:
                self.size = (len(some) + 1) // 2
            else:
                raise MemoryError(
                    "the device has too little memory to find anything in a single picture; a smaller segmenter takes "
                    "less (such as sam:vit_b), or --device cpu"
                )


def batches_for(device: str, side: int) -> Batches:
    """Batches for an encoder that looks at pictures of side×side pixels."""
    return Batches(max(1, PIXELS["cuda" if device.startswith("cuda") else "cpu"] // side**2))


def _unless_too_large(work: Callable[[list[Row]], list[Done]], some: list[Row]) -> list[Done] | None:
    """None where the device's memory does not suffice; what was taken of it is given back."""
    import torch

    try:
        return work(some)
    except RuntimeError as error:
        if not (isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error)):
            raise
    torch.cuda.empty_cache()  # not within `except`: the error holds the frames, and they what filled the memory
    return None
