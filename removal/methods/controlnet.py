"""Removal with a ControlNet for inpainting, which shows any fine-tune of Stable Diffusion 1.5 what surrounds the hole.

Zhang et al. 2023, "Adding Conditional Control to Text-to-Image Diffusion Models", and the model card of
control_v11p_sd15_inpaint (ControlNet 1.1). The UNet itself blends latents, as in `removal.methods.blending`; the
ControlNet sees the picture beside it and tells it how to go on from there. It knows of no object to remove, so that a
filled hole helps, and hole attention.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from removal.checkpoints.diffusers_folder import network_needed, network_variant
from removal.checkpoints.presets import SD15, Checkpoint
from removal.methods.blending import STRENGTH
from removal.painting import pipelines
from removal.painting.autoencoder import encode_whole
from removal.painting.noise import draw_in_float32
from removal.painting.offloading import offload, offloaded, working_device
from removal.painting.painter import Wrapped
from removal.weights import hub
from removal.weights.strict import strict

if TYPE_CHECKING:
    from removal.options import Options

INPAINT = "lllyasviel/control_v11p_sd15_inpaint"
HOLE = -1.0  # what the ControlNet was trained to take for unknown; 0 is black
SCALE = 1.0  # as it was trained; the pipeline's own default of 0.5 halves what it says


def load(checkpoint: Checkpoint, options: Options, controlnet: str = INPAINT) -> pipelines.Painter:
    """A painter that blends with a 4-channel checkpoint, led by a ControlNet: a hub id or a folder.

    Raises ValueError for a checkpoint that the ControlNet does not fit (with what would), OSError for weights that
    are unavailable.
    """
    if checkpoint.in_channels == 9:
        raise ValueError(
            f"{checkpoint.repo} has 9 input channels and sees the hole without a ControlNet; use --method inpainting, "
            f"or a checkpoint with 4 such as {SD15}"
        )
    if checkpoint.family == "sdxl":
        raise ValueError(
            f"{checkpoint.repo} is of SDXL; a ControlNet leads a checkpoint of its own kind such as {SD15}"
        )
    control = _controlnet(controlnet, options)
    painter = pipelines.load(
        checkpoint, options, in_channels=4, usual_strength=STRENGTH if options.prefill != "none" else 1.0
    )
    takes, has = control.config.cross_attention_dim, painter.pipeline.unet.config.cross_attention_dim
    if takes != has:
        raise ValueError(
            f"{controlnet} goes with text embeddings of width {takes}, and {checkpoint.repo} has {has}; "
            f"use a fine-tune of the checkpoint that it was made from ({INPAINT}: {SD15})"
        )
    # This pipeline masks the image itself, so that it cannot take latents for it.
    return replace(painter, pipeline=Controlled(_with_controlnet(painter.pipeline, control)), encoded=False)


@dataclass(frozen=True)
class Controlled(Wrapped):
    """A ControlNet inpainting pipeline to be called as the stock one is: it draws the control image itself."""

    def __call__(self, image: torch.Tensor, mask_image: torch.Tensor, **given: Any) -> Any:
        """`image` is N×3×R×R, 0..1, `mask_image` N×1×R×R, 1 in whole latent cells of the holes.

        The ControlNet is told of exactly the cells that are painted: no pixel of theirs counts as known.
        """
        return self.pipeline(
            image=image,
            mask_image=mask_image,
            control_image=image.masked_fill(mask_image > 0.5, HOLE),
            controlnet_conditioning_scale=SCALE,
            **given,
        )


def _controlnet(controlnet: str, options: Options) -> Any:
    from diffusers import ControlNetModel

    folder = Path(controlnet)
    if not folder.is_dir():
        folder = hub.snapshot(controlnet, network_needed, offline=options.offline)
    variant, dtype = network_variant(folder), options.torch_dtype()
    return strict(ControlNetModel, folder, controlnet, variant=variant, dtype=dtype)


def _with_controlnet(pipeline: Any, control: Any) -> Any:
    """The ControlNet pipeline of the same parts as a stock inpainting pipeline (`from_pipe` would cast them again)."""
    from diffusers import StableDiffusionControlNetInpaintPipeline

    parts = {**pipeline.components, "controlnet": control}
    controlled = StableDiffusionControlNetInpaintPipeline(**parts, requires_safety_checker=False)
    controlled.set_progress_bar_config(disable=True)
    device = working_device(pipeline.unet)
    if offloaded(pipeline.unet):
        offload(controlled, device)
    else:
        control.to(device)
    # Its own encodes and samples in the autoencoder's precision, one picture after the other.
    controlled._encode_vae_image = lambda image, generator: encode_whole(controlled.vae, image, generator)
    return draw_in_float32(controlled)
