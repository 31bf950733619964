"""Removal by a checkpoint fine-tuned for inpainting: its UNet sees latents, mask and masked image (9 channels).

Rombach et al. 2022, "High-Resolution Image Synthesis with Latent Diffusion Models", and the model card of
stable-diffusion-inpainting. The hole starts from pure noise, so nothing of the object reaches the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from removal.checkpoints.presets import Checkpoint
from removal.painting import pipelines

if TYPE_CHECKING:
    from removal.options import Options


def load(checkpoint: Checkpoint, options: Options) -> pipelines.Painter:
    """A painter that fills holes with a 9-channel checkpoint."""
    return pipelines.load(checkpoint, options, in_channels=9)
