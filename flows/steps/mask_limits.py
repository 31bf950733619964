"""Limits on masks: an absurd one is refused, with a guess at what was meant."""

from __future__ import annotations

import numpy as np

EMPTY = "its mask is empty: it is black all over"


def area_objection(mask: np.ndarray, max_area: float, inverted: bool = False) -> str | None:
    """The reason why a mask (H×W bool) that covers too large a share of its picture is not painted, or None.

    Of an inverted mask, the share that stays counts.
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
