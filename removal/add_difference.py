"""Removal by the inpainting checkpoint that a fine-tune does not have: it is made from its parents' difference.

The arithmetic and what it refuses are in `merging.py` and `mergeable.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from removal import merging, pipelines
from removal.checkpoints import Checkpoint, look_up, parents_of

if TYPE_CHECKING:
    from removal.removers import Options

CONFIGS = ["model_index.json", "*/*.json", "*/*.txt"]


def load(checkpoint: Checkpoint, options: Options) -> pipelines.Painter:
    """A painter with the merged checkpoint of a 4-channel fine-tune, made once and kept in the user's cache.

    Raises ValueError for a fine-tune that cannot be merged (with what to do instead), OSError for weights that cannot
    be had.
    """
    base, inpainting = (look_up(name) for name in parents_of(checkpoint))
    merged = merging.merge(
        _folder(inpainting, options, "unet/"),
        _folder(base, options, "unet/"),
        _folder(checkpoint, options, "*/"),
        merging.cache_folder(),
    )
    made = Checkpoint(str(merged), checkpoint.family, in_channels=9, resolution=checkpoint.resolution)
    return pipelines.load(made, options, in_channels=9)


def _folder(checkpoint: Checkpoint, options: Options, weights: str) -> Path:
    """A checkpoint's own folder, or its snapshot in the hub's cache, fetched with the weights that are needed."""
    if checkpoint.is_local:
        return Path(checkpoint.repo)
    from huggingface_hub import snapshot_download

    kind = f".{checkpoint.variant}.safetensors" if checkpoint.variant else ".safetensors"
    return Path(
        snapshot_download(
            checkpoint.repo,
            revision=checkpoint.revision,
            allow_patterns=[*CONFIGS, f"{weights}*{kind}"],
            ignore_patterns=["*non_ema*"],
            local_files_only=options.offline,
        )
    )
