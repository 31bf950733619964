"""Removal by the inpainting checkpoint that a fine-tune does not have: it is made from its parents' difference.

The arithmetic and what it refuses are in `merging.py` and `mergeable.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from removal.checkpoints import merging
from removal.checkpoints.choice import Checkpoint, look_up, parents_of
from removal.checkpoints.fetch import fetch
from removal.painting import pipelines
from removal.weights.cache import cache_folder

if TYPE_CHECKING:
    from removal.removers import Options


def load(checkpoint: Checkpoint, options: Options) -> pipelines.Painter:
    """A painter with the merged checkpoint of a 4-channel fine-tune, made once and kept in the user's cache.

    Raises ValueError for a fine-tune that cannot be merged (with what to do instead), OSError for weights that cannot
    be had.
    """
    base, inpainting = (look_up(name) for name in parents_of(checkpoint))
    merged = merging.merge(
        fetch(inpainting, options.offline, options.accept_license, of=("unet",)),
        fetch(base, options.offline, options.accept_license, of=("unet",)),
        fetch(checkpoint, options.offline, options.accept_license),
        cache_folder("merged"),
    )
    made = Checkpoint(str(merged), checkpoint.family, in_channels=9, resolution=checkpoint.resolution)
    return pipelines.load(made, options, in_channels=9)
