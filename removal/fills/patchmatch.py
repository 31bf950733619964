"""The hole is filled with patches of its surroundings, so that textures and lines go on. No weights; works on photos.

Barnes, Shechtman, Finkelstein & Goldman 2009, "PatchMatch", as PyPatchMatch makes it. Its search is random, from one
seed that every call begins with: a fill depends neither on others before it nor on others at the same time.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from removal.crops.crop import bounds
from removal.crops.grouping import group
from removal.fills import telea
from removal.fills.detail import magnified

if TYPE_CHECKING:
    from removal.checkpoints.presets import Checkpoint
    from removal.fills.remover import Fill
    from removal.options import Options

SEED = 1212  # the library's own. It is one for all threads, and so never another
PATCH = 3  # radius; 5 and 7 come no closer to the truth, on photos or scenes, and take two and four times as long
REACH = 0.75  # of the context: at all of it distant things come into the hole, at half too little is left to copy
LEAST = 128  # pixels; a window is no smaller, or a small hole would have nothing to choose from
SECONDS = 2.5  # of a core for one hole, so that a core half as fast stays within five
SECONDS_A_PIXEL, SECONDS_A_HOLE_PIXEL = 1.5e-6, 20e-6  # as measured, of the window and of the hole in it


def load(checkpoint: Checkpoint, options: Options) -> Fill:
    """`options.context` says from how far away patches are taken. Raises ImportError for a broken library."""
    import patchmatch

    if not patchmatch.patchmatch_available:
        raise ImportError("PyPatchMatch's own library does not load here; install it again, or use --method telea")
    return partial(fill, context=options.context)


def fill(
    image: np.ndarray, mask: np.ndarray, avoid: np.ndarray | None = None, *,
    context: float = 2.0, seconds: float = SECONDS,
) -> np.ndarray:  # fmt: skip
    """`image` (H×W×3 uint8) with the masked pixels (H×W bool) filled; no other pixel changes.

    Holes far apart are filled one by one. Nothing is copied from what is masked or where `avoid` (H×W bool) is true,
    as long as there is anything else. The search for one hole takes about `seconds` of a core at most: a larger one is
    filled at a smaller size, and gets the detail of the places that its patches came from.
    """
    result = image.copy()
    numbers = group(mask, LEAST, context)
    forbidden = mask if avoid is None else mask | avoid
    for number in range(1, int(numbers.max(initial=0)) + 1):
        hole = numbers == number
        window = _window(hole, context)
        inside = hole[window]
        result[window][inside] = _filled(image[window], inside, forbidden[window] & ~inside, seconds)[inside]
    return result


def _window(hole: np.ndarray, context: float) -> tuple[slice, slice]:
    """The box of a hole with its surroundings, as far as the picture has any."""
    top, bottom, left, right = bounds(hole)
    around = REACH * (context - 1) / 2 * max(bottom - top, right - left)
    rows, columns = (
        slice(max(0, int(first - margin)), int(np.ceil(last + margin)))
        for first, last in ((top, bottom), (left, right))
        for margin in [max(around, (LEAST - (last - first)) / 2)]
    )
    return rows, columns


def _filled(image: np.ndarray, hole: np.ndarray, avoid: np.ndarray, seconds: float) -> np.ndarray:
    """A window with its hole filled. Where nothing is known but what is to be avoided, that is copied after all."""
    if (hole | avoid).all():
        avoid = np.zeros_like(hole)
    if hole.all():
        return telea.fill(image, hole)
    cost = SECONDS_A_PIXEL * hole.size + SECONDS_A_HOLE_PIXEL * np.count_nonzero(hole)
    if cost <= seconds:
        return _search(image, hole, avoid)
    return magnified(image, hole, avoid, float(np.sqrt(seconds / cost)), _search)


def _search(image: np.ndarray, hole: np.ndarray, avoid: np.ndarray) -> np.ndarray:
    import patchmatch

    patchmatch.set_random_seed(SEED)
    return patchmatch.inpaint(
        np.ascontiguousarray(image), hole, global_mask=avoid if avoid.any() else None, patch_size=PATCH
    )
