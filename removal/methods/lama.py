"""Removal by LaMa: every crop in one pass, the same each time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from removal.crops.crop import Crop
from removal.fills import lama

if TYPE_CHECKING:
    from removal.checkpoints.presets import Checkpoint
    from removal.options import Options
    from removal.weights.batches import Batches

RESOLUTION = (
    512  # pixels of a crop's side; trained at 256, it does well at twice that (holes wider than 128: `fills/lama.py`)
)


@dataclass(frozen=True)
class LamaPaint:
    """Fills square crops in batches. Nothing is drawn at random, so there are neither steps nor strength."""

    network: lama.Lama
    resolution: int = RESOLUTION
    steps: None = None
    strength: None = None

    def __call__(self, crops: list[Crop], seeds: list[int]) -> list[np.ndarray]:
        """One patch R×R×3 uint8 for each crop; the seeds do not matter."""
        return self.network.batch([crop.image for crop in crops], [crop.mask for crop in crops])

    def by_step(self, crops: list[Crop], seeds: list[int], batches: Batches) -> Iterator[list[np.ndarray]]:
        """The result alone, since nothing is denoised."""
        rows = list(zip(crops, seeds, strict=True))
        yield list(batches(lambda some: self([crop for crop, _ in some], [seed for _, seed in some]), rows))


def load(checkpoint: Checkpoint, options: Options) -> LamaPaint:
    """LaMa's network, ready for work. Raises OSError for missing weights, ValueError for a file that holds none."""
    return LamaPaint(lama.load(checkpoint, options))
