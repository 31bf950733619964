"""The process of denoising: the patches after every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from removal.crops.crop import Crop
from removal.painting.autoencoder import decode
from removal.painting.tensors import to_images
from removal.weights.batches import Batches

Paint = Callable[..., list[np.ndarray]]  # a painter: crops, seeds, and a function to call after every step


def patches_by_step(
    paint: Paint, vae: Any, crops: list[Crop], seeds: list[int], batches: Batches
) -> Iterator[list[np.ndarray]]:
    """The patches R×R×3 uint8 of all crops after each step: noise at first, the result of `paint` itself at last.

    The crops are painted in `batches`, each to its end; the latents are kept (a 12th of their patches' bytes in
    float32) and decoded one step at a time.
    """
    rows = list(zip(crops, seeds, strict=True))
    painted = list(batches(lambda some: _painted(paint, [crop for crop, _ in some], [seed for _, seed in some]), rows))
    for step in zip(*(latents[:-1] for latents, _ in painted), strict=True):
        yield list(batches(lambda some: to_images(decode(vae, torch.stack(some))), list(step)))
    if crops:
        yield [patch for _, patch in painted]


def _painted(paint: Paint, crops: list[Crop], seeds: list[int]) -> list[tuple[torch.Tensor, np.ndarray]]:
    """The latents of each crop after every step, steps×4×r×r, and its final patch."""
    seen = []

    def after_step(pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        seen.append(tensors["latents"])
        return tensors

    patches = paint(crops, seeds, after_step)
    return list(zip(torch.stack(seen, dim=1), patches, strict=True))
