"""Noise is drawn in float32 on the CPU and rounded afterwards, whatever the networks work in.

`torch.randn` draws other numbers for bfloat16 than for float32, and which ones depends on the processor: measured,
another picture. Drawn in float32 it is the same picture up to rounding, on any device and in any precision.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import LCMScheduler


def draw_in_float32(pipeline: Any) -> Any:
    """Make a stock inpainting pipeline draw its starting noise in float32, and mix it with the picture in float32.

    It then continues in the dtype that it asked for. Returns the pipeline.
    """
    prepare = pipeline.prepare_latents

    def prepared(
        batch: int, channels: int, height: int, width: int, dtype: torch.dtype, *given: Any, **named: Any
    ) -> tuple[torch.Tensor, ...]:
        drawn = prepare(batch, channels, height, width, torch.float32, *given, **named)
        return tuple(one.to(dtype) for one in drawn)

    pipeline.prepare_latents = prepared
    return pipeline


class LCMInFloat32(LCMScheduler):
    """diffusers' scheduler for consistency models, which draws new noise after every step but the last.

    The solver that all others get (DPM++ 2M) computes in float32 by itself.
    """

    def step(
        self,
        model_output: torch.Tensor,
        timestep: int,
        sample: torch.Tensor,
        generator: Any = None,
        return_dict: bool = False,
    ) -> tuple[torch.Tensor, ...]:
        """The next sample and the denoised one, in the dtype of `model_output`."""
        stepped = super().step(model_output.float(), timestep, sample.float(), generator, return_dict=False)
        return tuple(one.to(model_output.dtype) for one in stepped)
