"""Removal by latent blending: what any plain checkpoint (4 channels) can do.

Avrahami et al. 2023, "Blended Latent Diffusion". After every step the latents outside the hole are put back from the
image, at the noise level of the *next* timestep, and clean after the last one. diffusers' inpainting pipeline does
exactly that when its UNet has 4 channels; hand-written loops that noise them to the current timestep leave noise of
0.04 in the kept region.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from removal.checkpoints.presets import Checkpoint
from removal.painting import pipelines

if TYPE_CHECKING:
    from removal.options import Options

STRENGTH = 0.3  # from a filled hole: a higher one invents more and blurs the fill (`make quality`)


def load(checkpoint: Checkpoint, options: Options) -> pipelines.Painter:
    """A painter that blends with a 4-channel checkpoint."""
    return pipelines.load(
        checkpoint, options, in_channels=4, usual_strength=STRENGTH if options.prefill != "none" else 1.0
    )
