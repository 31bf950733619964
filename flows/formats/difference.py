"""The difference of a written picture from its source where nothing was painted, measured on the written bytes."""

from __future__ import annotations

import cv2
import numpy as np

from flows.formats.jpeg_splice import touched
from flows.formats.orientation import stored
from flows.formats.picture import BrokenPicture, Picture
from flows.formats.pictures import decode


def outside(picture: Picture, mask: np.ndarray, written: bytes, max_pixels: int) -> int:
    """The largest difference of any channel, outside a mask (H×W bool): 0..255, or 0..65535 of 16 bits.

    In a JPEG whose coefficients were kept, the MCUs that the mask touches, and one pixel around them, are left out.
    Raises BrokenPicture where what was written is another kind of picture, UnsupportedPicture as `decode` does.
    """
    after = decode(written, max_pixels)
    found = 0
    for was, now in zip(_channels(picture), _channels(after), strict=True):
        if was is None or now is None:
            if (was is None) != (now is None):
                raise BrokenPicture("writing it would change its transparency")
            continue
        if now.shape != was.shape or now.dtype != was.dtype:
            raise BrokenPicture("writing it would turn it")
        difference = cv2.absdiff(now, was)
        if picture.source is None:
            difference[mask] = 0
        else:
            as_stored = stored(difference, picture.orientation)
            for left, top, right, bottom in touched(picture.source, mask, picture.orientation):
                as_stored[top:bottom, left:right] = 0
        found = max(found, int(difference.max()))
    return found


def _channels(picture: Picture) -> tuple[np.ndarray, np.ndarray | None]:
    return (picture.image if picture.deep is None else picture.deep), picture.alpha
