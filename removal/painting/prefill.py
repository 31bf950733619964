"""Fills a hole before it is encoded, so that nothing of the object is left for the latents to remember.

A denoising that starts below full noise keeps the coarse shape of what it starts from, and the autoencoder carries the
object's colour into the cells beside the hole. A fill in which textures and lines go on is most of the work already.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import cv2
import numpy as np

from removal.checkpoints.presets import PRESETS
from removal.fills import lama, patchmatch

if TYPE_CHECKING:
    from removal.fills.remover import Fill
    from removal.options import Options

SECONDS = 0.4  # larger crops are filled at a smaller size, which is enough for a start
GREY = 127  # if the hole is everything
BLENDED = np.ones((3, 3), np.uint8)  # the object's last pixels, blended with what is beside it


def prefill(image: np.ndarray, mask: np.ndarray, avoid: np.ndarray | None = None, by: Fill | None = None) -> np.ndarray:
    """`image` (R×R×3 uint8) with the masked pixels (R×R bool) filled by PatchMatch, or `by` another fill.

    No other pixel changes, and nothing is copied from where `avoid` (R×R bool) is true.
    """
    if mask.all():
        return np.full_like(image, GREY)
    hole = cv2.dilate(mask.astype(np.uint8), BLENDED) > 0
    return np.where(mask[..., None], (by or HINT)(image, hole if not hole.all() else mask, avoid), image)


def chosen(options: Options) -> Fill | None:
    """The fill that holes start from, or None to leave them as they are. Raises OSError for missing weights."""
    if options.prefill == "lama":
        return lama.load(PRESETS["lama"], options)
    return HINT if options.prefill == "patchmatch" else None


HINT: Fill = partial(patchmatch.fill, seconds=SECONDS)
