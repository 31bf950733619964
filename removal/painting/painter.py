"""Drives a loaded diffusers inpainting pipeline from outside, as a rule with an empty prompt."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F

from removal.crops.crop import Crop
from removal.fills.remover import Fill, cores
from removal.painting.attention import hole_attention
from removal.painting.autoencoder import decode, encode
from removal.painting.offloading import working_device
from removal.painting.prefill import HINT, prefill
from removal.painting.process import patches_by_step
from removal.painting.tensors import to_images, to_latent_masks, to_tensors
from removal.weights.batches import Batches
from removal.weights.tensor_cores import tensor_cores

AfterStep = Callable[..., dict[str, Any]]


class Recorded(Protocol):
    """A step that is recorded on its device."""

    def release(self) -> None:
        """Give back the memory that the recording holds."""


@dataclass(frozen=True)
class Wrapped:
    """A pipeline with another call than a stock one's, and the parts that a painter needs."""

    pipeline: Any

    @property
    def unet(self) -> Any:
        return self.pipeline.unet

    @property
    def vae(self) -> Any:
        return self.pipeline.vae

    @property
    def vae_scale_factor(self) -> int:
        return self.pipeline.vae_scale_factor


@dataclass(frozen=True)
class Painter:
    """A loaded pipeline that repaints crops. Schedulers are stateful, so one painter serves one caller at a time.

    `prompt_embeddings` are by their pipeline argument, computed once. `resolution` is a crop's side in pixels: what the
    checkpoint was trained at, which its config does not always say. `fill` fills the holes before they are encoded;
    `hole_attention` keeps them from attending to themselves. `encoded` says whether the pipeline is given latents,
    encoded here in one batch, or pixels. `steady` networks work alike in every step and batch, and stay on their
    device; with `compiled` ones every batch should have the same size. `recorded` is the step of the UNet, where it is
    recorded (`removal.painting.graphs`).
    """

    pipeline: Any
    prompt_embeddings: dict[str, torch.Tensor]
    resolution: int
    steps: int
    strength: float
    guidance: float = 1.0
    fill: Fill | None = HINT
    hole_attention: bool = False
    encoded: bool = True
    steady: bool = True
    compiled: bool = False
    recorded: Recorded | None = None

    def __call__(self, crops: list[Crop], seeds: list[int], after_step: AfterStep | None = None) -> list[np.ndarray]:
        """One patch R×R×3 uint8 per crop; a crop's noise comes from its own seed, whatever batch it is in.

        `after_step` is called at the end of every step with the arguments of diffusers' `callback_on_step_end`.
        """
        unet = self.pipeline.unet
        rounded = working_device(unet).type == "cuda" and unet.dtype != torch.float32
        try:
            with tensor_cores() if rounded else contextlib.nullcontext():  # for an autoencoder that is in float32
                return self._painted(crops, seeds, after_step)
        except torch.OutOfMemoryError:
            if self.recorded:
                self.recorded.release()
            raise

    def by_step(self, crops: list[Crop], seeds: list[int], batches: Batches) -> Iterator[list[np.ndarray]]:
        """The patches of all crops after every step; the last ones are the result of a call."""
        return patches_by_step(self, self.pipeline.vae, crops, seeds, batches)

    def _painted(self, crops: list[Crop], seeds: list[int], after_step: AfterStep | None) -> list[np.ndarray]:
        count, cell = len(crops), self.pipeline.vae_scale_factor
        holes = to_latent_masks([crop.mask for crop in crops], cell, working_device(self.pipeline.unet))
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]  # the same noise on any device
        seen = self._seen(crops, holes, generators)
        with self._attending(holes, cell):
            latents = self.pipeline(
                **seen,
                mask_image=holes,
                **{name: one.repeat_interleave(count, dim=0) for name, one in self.prompt_embeddings.items()},
                height=self.resolution,
                width=self.resolution,
                strength=self.strength,
                num_inference_steps=self.steps,
                guidance_scale=self.guidance if "negative_prompt_embeds" in self.prompt_embeddings else 1.0,
                generator=generators,
                output_type="latent",
                callback_on_step_end=after_step,
            ).images
        return to_images(decode(self.pipeline.vae, latents))

    def _attending(self, holes: torch.Tensor, cell: int) -> contextlib.AbstractContextManager[Any]:
        """A block in which the UNet uses the attention asked for."""
        if not self.hole_attention:
            return contextlib.nullcontext()
        return hole_attention(self.pipeline.unet, F.max_pool2d(holes, cell))

    def _seen(self, crops: list[Crop], holes: torch.Tensor, generators: list[torch.Generator]) -> dict[str, Any]:
        """The pictures as the pipeline takes them, and the parts that it may see."""
        from_noise = self.strength == 1 and self.pipeline.unet.config.in_channels == 9  # sees no hole, filled or not
        images = [crop.image for crop in crops]
        if self.fill and not from_noise:
            with ThreadPoolExecutor(cores()) as pool:
                images = list(pool.map(lambda crop: prefill(crop.image, crop.mask, crop.avoid, self.fill), crops))
        pictures = to_tensors(images, holes.device)
        if not self.encoded:
            return {"image": pictures}
        return encode(self.pipeline, pictures, holes, generators, self.strength)
