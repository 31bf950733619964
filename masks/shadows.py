"""The shadow of an object: darker than its surroundings, of the same colour, and touching the object."""

from __future__ import annotations

import numpy as np

from masks.morphology import dilate

REACH = 1.0  # the reach of the search, as a multiple of the object's size (square root of its area)
WORKING = 96  # pixels of an object's size: enough to see its shadow
SMOOTH = 0.04  # of the size: finer structures are texture
SPREAD = 2.5  # times the surroundings' deviation: a shadow's least difference in brightness, and its largest in colour
DARKER = 0.08  # of the surroundings' brightness: a shadow is darker by at least this much
DEEPEST = 0.3  # of that brightness: anything darker is an object
TINT = 0.015  # difference in the shares of red and green in a colour that is always allowed
TOUCHES = 0.1  # share of the object's outline that a shadow must touch
LEAVES = 0.12  # share of the window's rim: anything that continues beyond it is ground, not shadow


def shadow_of(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The shadows (H×W bool) that the objects of a mask cast in an image (H×W×3 uint8 RGB).

    Every connected part of the mask, except crumbs, is an object. Shadows are found by brightness and colour alone: one
    across several grounds, or on a pattern as dark as itself, is missed rather than guessed.
    """
    import cv2

    found = np.zeros_like(mask)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA]
    for k in range(1, count):
        if areas[k] >= areas[1:].max() / 20:
            left, top, width, height = (int(side) for side in stats[k, :4])
            margin = round(2 * REACH * np.sqrt(areas[k])) + 8
            window = np.s_[max(0, top - margin) : top + height + margin, max(0, left - margin) : left + width + margin]
            found[window] |= _cast(image[window], labels[window] == k, mask[window])
    return found & ~mask


def _cast(image: np.ndarray, thing: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The shadow of one object in the window around it, computed at a reduced size."""
    import cv2

    height, width = thing.shape
    scale = min(1.0, WORKING / np.sqrt(np.count_nonzero(thing)))
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    shrunk = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    at = [cv2.resize(part.astype(np.uint8), small, interpolation=cv2.INTER_NEAREST) > 0 for part in (thing, mask)]
    if not at[0].any():
        return np.zeros_like(thing)
    shadow = _dark_and_alike(shrunk, *at).astype(np.float32)
    return cv2.resize(shadow, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5


def _dark_and_alike(image: np.ndarray, thing: np.ndarray, mask: np.ndarray) -> np.ndarray:
    size = float(np.sqrt(np.count_nonzero(thing)))
    reach = max(6, round(REACH * size))
    free = ~dilate(mask, 1)  # an object's edge is blended with its surroundings
    near = dilate(thing, reach) & free
    around = dilate(thing, round(1.6 * reach)) & free & ~near
    if np.count_nonzero(around) < 20:
        return np.zeros_like(thing)
    brightness, share = _light(image, free, max(1.0, SMOOTH * size))
    usual, spread = _middle(brightness[around])
    colour, tints = _middle(share[around])
    dark = (brightness < usual - np.maximum(SPREAD * spread, DARKER * usual)) & (brightness > DEEPEST * usual)
    alike = (np.abs(share - colour) < SPREAD * tints + TINT).all(axis=2)
    shadow = _attached(near & dark & alike, thing, near & ~dilate(thing, reach - 2))
    return shadow | (dilate(shadow, 2) & ~free)  # up to the object itself


def _light(image: np.ndarray, free: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Brightness (H×W) and the shares of red and green in it (H×W×2), smoothed over free pixels only."""
    import cv2

    weight = free.astype(np.float32)
    smooth = cv2.GaussianBlur((image.astype(np.float32) + 1) * weight[..., None], (0, 0), sigma)
    smooth /= np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-3)[..., None]
    brightness = smooth.sum(axis=2)
    return brightness, smooth[..., :2] / np.maximum(brightness, 1e-3)[..., None]


def _middle(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and standard deviation of values (N or N×channels), both robust against a few outliers."""
    median = np.median(values, axis=0)
    return median, 1.48 * np.median(np.abs(values - median), axis=0)


def _attached(shadow: np.ndarray, thing: np.ndarray, rim: np.ndarray) -> np.ndarray:
    """The connected parts that touch the object's outline and end before the rim."""
    import cv2

    outline = dilate(thing, 3) & ~thing
    count, labels = cv2.connectedComponents(shadow.astype(np.uint8))
    along, out = (np.bincount(labels[part], minlength=count) for part in (outline, rim))
    fits = (along >= TOUCHES * np.count_nonzero(outline)) & (out <= LEAVES * np.count_nonzero(rim))
    fits[0] = False  # the ground
    return fits[labels]
