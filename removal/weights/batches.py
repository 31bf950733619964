"""Batches that fit: one that is too large for the device's memory is split, and the next ones are no larger.

By hand, since accelerate's find_executable_batch_size starts a whole run again with every smaller size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from removal.weights.devices import release_memory

Row = TypeVar("Row")
Done = TypeVar("Done")


@dataclass
class Batches:
    """Processes rows, `size` at a time. Halves `size` permanently whenever that many do not fit.

    With `whole`, a short batch is filled up with its last row, whose results are dropped: one shape for all. `less`
    says for what a device has too little memory where not even one row fits, and what takes less.
    """

    size: int
    whole: bool = False
    less: str = "for a single crop; a checkpoint with a smaller resolution takes less"

    def __call__(self, work: Callable[[list[Row]], list[Done]], rows: list[Row]) -> Iterator[Done]:
        """Yields the result of `work` for each row. Raises MemoryError if a single row does not fit."""
        first = 0
        while first < len(rows):
            some = rows[first : first + self.size]
            filled = some + some[-1:] * (self.size - len(some)) if self.whole else some
            done = _unless_too_large(work, filled)
            if done is not None:
                yield from done[: len(some)]
                first += len(some)
            elif len(filled) > 1:
                self.size = (len(filled) + 1) // 2
            else:
                raise MemoryError(f"the device has too little memory {self.less}, or --device cpu")


def _unless_too_large(work: Callable[[list[Row]], list[Done]], some: list[Row]) -> list[Done] | None:
    """None where the device's memory does not suffice; what was taken of it is given back."""
    import torch

    try:
        return work(some)
    except RuntimeError as error:
        if not (isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error)):
            raise
    release_memory()  # not within `except`: the error holds the frames, and they what filled the memory
    return None
