"""A denoising on its way: the patches after every step, which the end of a removal alone does not show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from removal.crop import Crop
from removal.tensors import to_images

if TYPE_CHECKING:
    from removal.pipelines import Painter


def patches_by_step(paint: Painter, crops: list[Crop], seeds: list[int], at_once: int) -> Iterator[list[np.ndarray]]:
    """The patches R×R×3 uint8 of all crops after each step: noise at first, at last what `paint` itself gives.

    The crops are painted `at_once` in a batch, each batch to its end; the latents are kept (a 12th of their patches'
    bytes in float32) and decoded one step at a time.
    """
    firsts = range(0, len(crops), at_once)
    batches = [_painted(paint, crops[k : k + at_once], seeds[k : k + at_once]) for k in firsts]
    for step in zip(*(latents[:-1] for latents, _ in batches), strict=True):
        yield [patch for latents in step for patch in to_images(_decoded(paint.pipeline.vae, latents))]
    if crops:
        yield [patch for _, patches in batches for patch in patches]


def _painted(paint: Painter, crops: list[Crop], seeds: list[int]) -> tuple[list[torch.Tensor], list[np.ndarray]]:
    """The latents N×4×r×r after every step, and the patches in the end."""
    seen = []

    def after_step(pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        seen.append(tensors["latents"])
        return tensors

    patches = paint(crops, seeds, after_step)
    return seen, patches


@torch.no_grad()
def _decoded(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """N×3×R×R, 0..1, of latents N×4×r×r, as diffusers' pipelines decode their last ones."""
    config = vae.config
    overflows = vae.dtype == torch.float16 and config.force_upcast  # as SDXL's does in half precision
    if overflows:
        vae.float()
    latents = latents.to(vae.dtype) / config.scaling_factor
    if config.get("latents_mean") is not None and config.get("latents_std") is not None:
        mean, std = (latents.new_tensor(one).view(1, -1, 1, 1) for one in (config.latents_mean, config.latents_std))
        latents = latents * std + mean
    try:
        return vae.decode(latents, return_dict=False)[0] / 2 + 0.5
    finally:
        if overflows:
            vae.half()
