"""A remover without a pipeline: every hole is filled in its own picture, at full size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from removal.checkpoints.known import Choice
from removal.crops.crop import check


class Fill(Protocol):
    """Anything of this shape fits: image H×W×3 uint8 RGB and mask H×W bool in, a new image out.

    Only masked pixels differ; an empty mask changes nothing, and one that is everything is no error.
    """

    def __call__(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class FillRemover:
    """Removes by a fill. Nothing is drawn at random, so it has neither steps nor strength."""

    choice: Choice
    fill: Fill
    steps: None = None
    strength: None = None

    def __call__(self, images: list[np.ndarray], masks: list[np.ndarray], seeds: list[int]) -> list[np.ndarray]:
        """images: H×W×3 uint8 RGB of any sizes, masks: H×W bool. The seeds do not matter."""
        check(images, masks, seeds)
        return [self.fill(image, mask) for image, mask in zip(images, masks, strict=True)]

    def process(self, image: np.ndarray, mask: np.ndarray, seed: int) -> Iterator[np.ndarray]:
        """The result alone, since nothing is denoised."""
        yield from self([image], [mask], [seed])
