"""Cut a square around a mask for the model, and paste only the masked pixels back.

By hand, since diffusers' padding_mask_crop takes one PIL picture at a time, and pastes all that its overlay blurs.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


def check(images: list[np.ndarray], masks: list[np.ndarray], seeds: list[int]) -> None:
    """Raises ValueError unless there is one mask, of the same height and width, and one seed for every image."""
    for image, mask, _ in zip(images, masks, seeds, strict=True):
        if image.shape[:2] != mask.shape:
            raise ValueError(f"a mask of {mask.shape} does not fit an image of {image.shape[:2]}")


@dataclass(frozen=True)
class Crop:
    """A square cut around a mask, at the model's resolution.

    `image` R×R×3 uint8, `mask` R×R bool; `left`, `top` and `side` say where it was in the picture, in pixels (left and
    top are negative where the square reaches over the picture's edge and the picture was mirrored). Nothing is to be
    copied from where `avoid` (R×R bool) is true.
    """

    image: np.ndarray
    mask: np.ndarray
    left: int
    top: int
    side: int
    avoid: np.ndarray | None = None


def cut(
    image: np.ndarray,
    mask: np.ndarray,
    resolution: int,
    context: float = 2.0,
    around: np.ndarray | None = None,
    avoid: np.ndarray | None = None,
) -> Crop:
    """The square of `context` times the mask's box, never magnified if the picture is large enough, at `resolution`.

    image: H×W×3 uint8, mask: H×W bool with at least one True. The square is moved inside the picture where it fits; a
    picture that is too narrow for it is mirrored at its edges. `around` is the part of the mask to cut around, all of
    it by default; the crop's mask holds whatever is masked inside the square, so that no other object is copied from.
    """
    around = mask if around is None else around
    if not around.any():
        raise ValueError("the mask is empty: there is nothing to cut around")
    height, width = mask.shape
    top, bottom, left, right = bounds(around)
    box = int(max(bottom - top, right - left))
    wanted = max(round(context * box), resolution)
    side = max(min(wanted, max(min(height, width), box)), 1)
    y = _place((top + bottom) / 2, side, height)
    x = _place((left + right) / 2, side, width)
    pixels, hole = _window(image, y, x, side, cv2.BORDER_REFLECT_101), _window(mask, y, x, side, cv2.BORDER_CONSTANT)
    barred = None if avoid is None else _resize_mask(_window(avoid, y, x, side, cv2.BORDER_REFLECT_101), resolution)
    return Crop(_resize(pixels, resolution), _resize_mask(hole, resolution), x, y, side, barred)


def bounds(mask: np.ndarray) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of the box of a mask that is not empty."""
    left, top, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))  # a tenth of numpy's time
    return top, top + height, left, left + width


def paste(image: np.ndarray, mask: np.ndarray, crop: Crop, patch: np.ndarray) -> np.ndarray:
    """A copy of `image` (H×W×3) whose pixels under `mask` (H×W bool) come from `patch` (R×R×3), and no others."""
    result = image.copy()
    put(result, mask, crop, patch)
    return result


def put(result: np.ndarray, mask: np.ndarray, crop: Crop, patch: np.ndarray) -> None:
    """The same in place, into `result`: a tenth of the time for a photo."""
    painted = _resize(patch, crop.side)
    height, width = mask.shape
    top, left = max(crop.top, 0), max(crop.left, 0)
    bottom, right = min(crop.top + crop.side, height), min(crop.left + crop.side, width)
    painted = painted[top - crop.top : bottom - crop.top, left - crop.left : right - crop.left]
    np.copyto(result[top:bottom, left:right], painted, where=mask[top:bottom, left:right, None])


def placed(region: np.ndarray, crop: Crop, shape: tuple[int, ...]) -> np.ndarray:
    """The place of a crop's region (R×R bool) in its picture: H×W bool of that shape."""
    whole, height, width = np.zeros(shape[:2], bool), *shape[:2]
    own = cv2.resize(region.astype(np.float32), (crop.side, crop.side), interpolation=cv2.INTER_LINEAR) > 0.5
    top, left = max(crop.top, 0), max(crop.left, 0)
    bottom, right = min(crop.top + crop.side, height), min(crop.left + crop.side, width)
    whole[top:bottom, left:right] = own[top - crop.top : bottom - crop.top, left - crop.left : right - crop.left]
    return whole


def feather(image: np.ndarray, result: np.ndarray, mask: np.ndarray, width: int) -> np.ndarray:
    """`result` fading into `image` (both H×W×3 uint8) over the outermost `width` pixels inside `mask` (H×W bool).

    `width` must be well below the mask's dilation, where both show background, so that nothing of the object comes
    back. Nothing changes outside the mask, nothing at the picture's edge, and nothing at all for 0.
    """
    if not width or not mask.any():
        return result
    top, bottom, left, right = bounds(mask)
    window = (slice(max(0, top - 1), bottom + 1), slice(max(0, left - 1), right + 1))
    hole = mask[window]
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    share = np.minimum(depth / (width + 1), 1.0)[..., None]
    mixed = (share * result[window] + (1 - share) * image[window] + 0.5).astype(np.uint8)
    faded = result.copy()
    faded[window] = np.where(hole[..., None], mixed, result[window])
    return faded


def _place(centre: float, side: int, length: int) -> int:
    """The start of a side with that centre: inside 0..length if it fits, else centred on the picture."""
    if side >= length:
        return (length - side) // 2
    return int(min(max(round(centre - side / 2), 0), length - side))


def _window(array: np.ndarray, top: int, left: int, side: int, border: int) -> np.ndarray:
    height, width = array.shape[:2]
    inner = array[max(top, 0) : top + side, max(left, 0) : left + side]
    over = (max(-top, 0), max(top + side - height, 0), max(-left, 0), max(left + side - width, 0))
    if not any(over):
        return inner.copy()
    plain = inner.astype(np.uint8) if inner.dtype == bool else inner
    return cv2.copyMakeBorder(plain, *over, border).astype(array.dtype)


def _resize(image: np.ndarray, side: int) -> np.ndarray:
    if image.shape[0] == side:
        return image
    method = cv2.INTER_AREA if side < image.shape[0] else cv2.INTER_CUBIC
    return cv2.resize(image, (side, side), interpolation=method)


def _resize_mask(mask: np.ndarray, side: int) -> np.ndarray:
    """The pixels that the mask touches at all, so that shrinking loses no part of the object."""
    if mask.shape[0] == side:
        return mask
    least = 1e-6 if side < mask.shape[0] else 0.02  # shrunk, a pixel is any share; magnified, cubic rings around it
    return _resize(mask.astype(np.float32), side) > least
