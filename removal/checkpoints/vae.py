"""Another autoencoder than the checkpoint's own: TAESD, which is tiny, or any folder or hub id of one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from removal.checkpoints.diffusers_folder import network_needed, network_variant
from removal.weights import hub
from removal.weights.configs import read_config
from removal.weights.strict import strict

TAESD = {"sd15": "madebyollin/taesd", "sd2": "madebyollin/taesd", "sdxl": "madebyollin/taesdxl"}  # MIT, 10 MB


def autoencoder(asked: str, family: str | None, offline: bool = False) -> Any:
    """The autoencoder for `taesd`, a folder or a hub id, in float32. Takes a 9th to an 18th of the operations as TAESD.

    Its pictures are softer: fit for previews and for few steps. Raises ValueError unless it is an autoencoder of
    latents with 4 channels, with exactly its tensors, and hub.Unavailable if it cannot be fetched.
    """
    import torch
    from diffusers import AutoencoderKL, AutoencoderTiny

    folder = fetched(asked, family, offline)
    if not (folder / "config.json").is_file():
        raise ValueError(f"{asked} is not an autoencoder: it has no config.json")
    config = read_config(folder / "config.json")
    kinds = {kind.__name__: kind for kind in (AutoencoderKL, AutoencoderTiny)}
    kind = kinds.get(str(config.get("_class_name")))
    if kind is None or config.get("latent_channels", 4) != 4:
        raise ValueError(f"{asked} is not an autoencoder for Stable Diffusion; give one of {', '.join(kinds)}")
    return strict(kind, folder, asked, variant=network_variant(folder), dtype=torch.float32)


def fetched(asked: str, family: str | None, offline: bool = False) -> Path:
    """The folder of an autoencoder, fetched if it is on the hub."""
    place = TAESD.get(family or "sd15", TAESD["sd15"]) if asked == "taesd" else asked
    folder = Path(os.path.expanduser(place))
    if not folder.is_dir():
        if folder.is_absolute() or place.startswith(".") or place.count("/") != 1:
            raise ValueError(f"there is no autoencoder at {place}; give taesd, a diffusers folder or a hub id")
        folder = hub.snapshot(place, network_needed, offline=offline)
    return folder


def exchange(pipeline: Any, vae: Any) -> None:
    """Make a pipeline use another autoencoder. Raises ValueError for one with another downscaling factor."""
    cell = 2 ** (len(vae.config.block_out_channels) - 1)
    if cell != pipeline.vae_scale_factor:
        raise ValueError(
            f"the autoencoder has {cell} pixels to a latent cell, and the checkpoint's own has "
            f"{pipeline.vae_scale_factor}; give one for Stable Diffusion"
        )
    pipeline.register_modules(vae=vae)
