"""Whether a fill is a success or a failure, by the truth alone; what is neither clearly is left out of a calibration.

Nobody can guess the phase of a texture, so that colours and the strength of detail are compared, each averaged over a
fifth of the hole's radius.
"""

from __future__ import annotations

import cv2
import numpy as np

NEAR = {"colour": 30.0, "detail": 0.4, "worst_detail": 1.3}  # a success has none above
FAR = {"colour": 50.0, "detail": 1.0}  # a failure has one at or above
FLOOR = 2.0  # levels; detail below is noise
MARGIN = 32  # pixels around the mask that take part in an average


def failed(result: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> bool | None:
    """Whether a hole was filled badly, with something far from the truth. None for what is between good and bad.

    result, truth: H×W×3 uint8; mask (what was filled): H×W bool.
    """
    found = distances(result, truth, mask)
    if any(found[key] >= limit for key, limit in FAR.items()):
        return True
    return None if any(found[key] > limit for key, limit in NEAR.items()) else False


def distances(result: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """`colour`: levels in the worst channel, for all but 5 % of the hole; `detail`: octaves of its strength, for half
    of the hole, and `worst_detail` for all but 5 %."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    window = np.s_[max(0, rows[0] - MARGIN) : rows[-1] + MARGIN, max(0, columns[0] - MARGIN) : columns[-1] + MARGIN]
    result, truth, hole = (np.ascontiguousarray(each[window]) for each in (result, truth, mask))
    reach = max(2.0, 0.2 * float(np.sqrt(hole.sum() / np.pi)))
    colour = np.abs(_blur(result, reach) - _blur(truth, reach)).max(axis=2)[hole]
    detail = np.abs(np.log2(_detail(result, reach) / _detail(truth, reach)))[hole]
    return {
        "colour": float(np.percentile(colour, 95)),
        "detail": float(np.median(detail)),
        "worst_detail": float(np.percentile(detail, 95)),
    }


def _detail(image: np.ndarray, reach: float) -> np.ndarray:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.sqrt(_blur((grey - _blur(grey, 2.0)) ** 2, reach) + FLOOR**2)


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(image.astype(np.float32), (0, 0), sigma)
