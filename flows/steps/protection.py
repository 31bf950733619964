"""Protection: areas found by phrases of their own, taken out of every mask, and kept beside the masks."""

from __future__ import annotations

import numpy as np

from flows.formats.mask_files import decode_mask, encode_mask
from flows.places.layout import files_of
from flows.places.target import Target
from masks import Found, Prompt, TextPrompt, dilate, dilation_radius

MARGIN = "2%"  # of the object's size, at least 4 pixels: its edge is blended with what lies behind it


def phrases(protect: list[str]) -> list[Prompt]:
    """The prompts of a job's `protect`."""
    return [TextPrompt.parse(text) for text in protect]


def grown(found: Found | None) -> np.ndarray | None:
    """The area that must not be painted (H×W bool), with the margin; None if nothing protected was found."""
    return dilate(found.mask, dilation_radius(MARGIN, found.mask)) if found else None


def spare(
    found: np.ndarray, radius: int, protected: np.ndarray | None, protect: list[str]
) -> tuple[np.ndarray, str | None]:
    """The mask of a find (H×W bool), dilated, without what is protected; and a message about that.

    The protected area is also taken out before the dilation, since otherwise a ring around it would be painted.
    """
    if protected is None:
        return dilate(found, radius), None
    left = found & ~protected
    names, share = ", ".join(protect), 1 - int(np.count_nonzero(left)) / int(np.count_nonzero(found))
    if not left.any():
        return left, f"all that was found is protected ({names})"
    said = f"{max(share, 0.01):.0%} of what was found is protected ({names})" if share else None
    return dilate(left, radius) & ~protected, said


def remember(target: Target, name: str, protected: np.ndarray | None) -> None:
    """Keep a picture's protected area for the second step, where a doubtful picture's mask may grow again."""
    if protected is None:
        target.remove(files_of(name).protected)
    else:
        target.write(files_of(name).protected, encode_mask(protected))


def recall(target: Target, name: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """The protected area of a picture of that shape, as `remember` kept it."""
    if not target.has(files_of(name).protected):
        return None
    protected = decode_mask(target.read(files_of(name).protected))
    return protected if protected.shape == shape[:2] else None
