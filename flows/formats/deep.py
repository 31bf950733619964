"""Pictures of more than 8 bits: seen and painted through an 8-bit view, kept bit for bit outside the hole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from flows.formats.metadata import stored_orientation
from flows.formats.orientation import upright

if TYPE_CHECKING:
    from flows.formats.picture import Picture

GREY = ("I;16", "I;16B", "I;16L")
BITS_PER_SAMPLE, SAMPLE_FORMAT = 258, 339
UNSIGNED = 1


def is_deep(opened: Image.Image, data: bytes) -> bool:
    """True if a PNG or TIFF holds 16-bit integers, which Pillow alone would narrow."""
    if opened.format == "PNG":
        return len(data) > 24 and data[24] == 16
    if opened.format != "TIFF":
        return False
    tags = opened.tag_v2  # type: ignore[attr-defined]
    return {*tags.get(BITS_PER_SAMPLE, (1,))} == {16} and {*tags.get(SAMPLE_FORMAT, (UNSIGNED,))} == {UNSIGNED}


def read_deep(opened: Image.Image, data: bytes) -> np.ndarray:
    """The pixels of such a picture, upright: H×W, H×W×3 (RGB) or H×W×4 (RGBA) uint16. `opened` has its pixels loaded.

    Raises ValueError where OpenCV reads them in another way than Pillow, which sees their upper 8 bits alone.
    """
    if opened.mode in GREY:
        pixels = np.asarray(opened).astype(np.uint16)
    else:
        pixels = _by_opencv(data)
        seen = np.asarray(opened)
        if pixels.ndim != 3 or seen.shape != pixels.shape or ((pixels >> 8) != seen).any():
            raise ValueError(f"its 16-bit pixels ({opened.mode}) cannot be read with certainty")
    return np.ascontiguousarray(upright(pixels, stored_orientation(opened)))


def view_of(deep: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """An 8-bit view: the image, H×W×3 uint8, and its alpha, H×W uint8 or None.

    Where a picture uses only the lower bits, as 12-bit cameras do, the view shows the upper 8 of those.
    """
    colours = deep[..., :3] if deep.ndim == 3 else np.repeat(deep[..., None], 3, axis=2)
    alpha = (deep[..., 3] >> 8).astype(np.uint8) if deep.ndim == 3 and deep.shape[2] == 4 else None
    return np.ascontiguousarray((colours >> (_bits(colours) - 8)).astype(np.uint8)), alpha


def deepened(picture: Picture, image: np.ndarray, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The deep pixels (H×W or H×W×3 uint16) and alpha of `picture`, where `image` (H×W×3 uint8) is not its view those
    of `shown`, which is `image`, or its grey H×W.
    """
    assert picture.deep is not None
    deep = picture.deep if picture.deep.ndim == 2 else picture.deep[..., :3]
    top = (1 << _bits(deep)) - 1
    painted = (image != picture.image).any(axis=2)
    pixels = np.ascontiguousarray(deep).copy()
    pixels[painted] = (shown[painted].astype(np.uint32) * top + 127) // 255
    return pixels, picture.deep[..., 3] if picture.deep.ndim == 3 and picture.deep.shape[2] == 4 else None


def _bits(colours: np.ndarray) -> int:
    """The bits that the largest of these values needs, at least 8."""
    return max(8, int(colours.max()).bit_length())


def _by_opencv(data: bytes) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3:
        raise ValueError("its 16-bit pixels cannot be read")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
