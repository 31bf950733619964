"""Masks that make no sense: refused with a guess at what was meant."""

from __future__ import annotations

import numpy as np

EMPTY = "its mask is empty: it is black all over"


def area_objection(mask: np.ndarray, max_area: float, inverted: bool = False) -> str | None:
    """Why a mask (H×W bool) is not painted that covers more than a share of its picture, or None where it may be.

    Of an inverted mask, which covers everything but what was found, the share that stays counts.
    """
    area = np.count_nonzero(mask) / mask.size
    if inverted:
        stays = 1 - area
        said = f"what stays covers {stays:.0%} of the picture, more than --max-area {max_area:g} allows"
        return said if stays > max_area else None
    if area <= max_area:
        return None
    said = f"its mask covers {area:.0%} of the picture, more than --max-area {max_area:g} allows"
    if 0.5 < area < 1:
        said += "; white means remove: are black and white swapped?"
    return said
