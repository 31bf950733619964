"""A remover without a pipeline: every hole is filled in its own picture, at full size."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from removal.checkpoints.presets import Choice
from removal.crops.crop import check


class Fill(Protocol):
    """Anything of this shape fits: image H×W×3 uint8 RGB and mask H×W bool in, a new image out.

    Only masked pixels differ; an empty mask changes nothing, and one that is everything is no error. Nothing that
    stands where `avoid` (H×W bool) is true is put into a hole, as long as there is anything else. Is called by
    several threads at once, and gives each what it would give alone.
    """

    def __call__(self, image: np.ndarray, mask: np.ndarray, avoid: np.ndarray | None = None) -> np.ndarray: ...


@dataclass(frozen=True)
class FillRemover:
    """Removes by a fill, from as many pictures at once as there are cores. It has neither steps nor strength."""

    choice: Choice
    fill: Fill
    steps: None = None
    strength: None = None

    def __call__(
        self,
        images: list[np.ndarray],
        masks: list[np.ndarray],
        seeds: list[int],
        avoid: list[np.ndarray | None] | None = None,
    ) -> list[np.ndarray]:
        """images: H×W×3 uint8 RGB of any sizes, masks: H×W bool, avoid: H×W bool or None. The seeds do not matter."""
        check(images, masks, seeds)
        with ThreadPoolExecutor(cores()) as pool:  # fills release the interpreter while they compute
            return list(pool.map(self.fill, images, masks, *([avoid] if avoid else [])))

    def process(
        self, image: np.ndarray, mask: np.ndarray, seed: int, avoid: np.ndarray | None = None
    ) -> Iterator[np.ndarray]:
        """The result alone, since nothing is denoised."""
        yield from self([image], [mask], [seed], None if avoid is None else [avoid])


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
