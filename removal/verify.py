"""Does a patch fit its surroundings? A gate without weights: colours, seam and detail of the hole beside its ring.

It cannot see whether the thing itself is there again in the colours of its surroundings; the segmenter is asked that.
Its figures need no clean plate, so they can be had for any picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from removal.crops.crop import bounds

LEVELS = 40  # in some channel; farther than this from every colour around, a colour is strange
BIN = 8  # levels to a bin of the colour cube
SIDE = 256  # pixels of the longest side that is looked at
SAMPLES = 1000  # of the hole, and of what is around it, that are compared with each other
LEVELS_ALIKE, OCTAVES_ALIKE = 12.0, 0.67  # of CIELAB (8 bits) and of the strength of detail: a distance of 1
FAR = 4.0  # beyond this distance nothing is alike, and more tells nothing
LIMITS = {"strange": 0.08, "seam": 3.0, "busy": 3.0, "smooth": 0.35, "unlike": 1.2}  # beyond, it is doubtful


@dataclass(frozen=True)
class Fit:
    """How a patch fits. `strange` is the largest connected share of the hole in colours found nowhere around it, 0..1;
    `seam` the change of brightness across the hole's edge over that beside it (1 is invisible); `texture` the strength
    of fine detail in the hole over that around it (1 is alike); `unlike` how far the strangest quarter of the hole
    is from all that is around it, in colour and detail together (0 is alike, 4 is not at all)."""

    strange: float
    seam: float
    texture: float
    unlike: float = 0.0

    @property
    def doubt(self) -> float:
        """0 fits perfectly, 1 is the limit, above it the patch is doubtful."""
        return max(
            self.strange / LIMITS["strange"],
            (self.seam - 1) / (LIMITS["seam"] - 1),
            (self.texture - 1) / (LIMITS["busy"] - 1),
            (1 - self.texture) / (1 - LIMITS["smooth"]),
            self.unlike / LIMITS["unlike"],
        )

    @property
    def reasons(self) -> list[str]:
        """A sentence for each limit exceeded; empty for a patch that fits."""
        found = []
        if self.strange > LIMITS["strange"]:
            found.append(f"{self.strange:.0%} of the hole has colours that are nowhere around it")
        if self.seam > LIMITS["seam"]:
            found.append(f"the edge of the mask shows ({self.seam:.1f} times the detail beside it)")
        if self.texture > LIMITS["busy"]:
            found.append(f"the patch is busier than its surroundings ({self.texture:.1f} times)")
        if self.texture < LIMITS["smooth"]:
            found.append(f"the patch is smoother than its surroundings ({self.texture:.1f} times)")
        if self.unlike > LIMITS["unlike"] and not found:
            found.append("a part of the patch looks like nothing around it")
        return found


def fit(result: np.ndarray, mask: np.ndarray) -> Fit:
    """Measures how the masked pixels (H×W bool, at least one) of `result` (H×W×3 uint8) fit those around them."""
    image, hole = _window(result, mask)
    ring = _grown(hole, max(4, round(0.5 * np.sqrt(hole.sum())))) & ~hole
    if not ring.any():
        return Fit(0.0, 1.0, 1.0)
    return Fit(_strange(image, hole, ring), _seam(image, hole), _texture(image, hole, ring), _unlike(image, hole, ring))


def _window(result: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mask's box with as much around it on each side, no longer than SIDE."""
    top, bottom, left, right = bounds(mask)
    margin = max(8, (max(bottom - top, right - left) + 1) // 2)
    rows, columns = slice(max(0, top - margin), bottom + margin), slice(max(0, left - margin), right + margin)
    image, hole = result[rows, columns], mask[rows, columns]
    scale = SIDE / max(hole.shape)
    if scale < 1:
        size = tuple(max(1, round(length * scale)) for length in hole.shape[::-1])
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        hole = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
    return image, hole


def _strange(image: np.ndarray, hole: np.ndarray, ring: np.ndarray) -> float:
    seen = cv2.GaussianBlur(image, (0, 0), 2.0) // BIN
    cube = np.zeros((256 // BIN,) * 3, np.uint8)
    cube[tuple(np.moveaxis((image // BIN)[ring], -1, 0))] = 1
    reach = LEVELS // BIN
    for axis in range(3):  # a box around every colour: near in all three channels
        known = [np.roll(cube, shift, axis) for shift in range(-reach, reach + 1)]
        cube = np.max(known, axis=0)
    odd = (cube[tuple(np.moveaxis(seen, -1, 0))] == 0) & hole
    _, _, stats, _ = cv2.connectedComponentsWithStats(odd.astype(np.uint8), connectivity=8)
    return float(stats[1:, cv2.CC_STAT_AREA].max(initial=0) / max(hole.sum(), 1))


def _seam(image: np.ndarray, hole: np.ndarray) -> float:
    """Steps of brightness from the outermost masked pixels to their neighbours, over those just inside and outside."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    edge = _grown(hole, 1) & _grown(~hole, 1)
    beside = _grown(hole, 8) & _grown(~hole, 8) & ~(_grown(hole, 3) & _grown(~hole, 3))
    if not beside.any():
        return 1.0
    return float(slope[edge].mean() / max(float(slope[beside].mean()), 4.0))


def _texture(image: np.ndarray, hole: np.ndarray, ring: np.ndarray) -> float:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = (grey - cv2.GaussianBlur(grey, (0, 0), 2.0)) ** 2
    inner = hole & ~_grown(~hole, 3)
    if not inner.any():
        return 1.0
    outer = np.sort(fine[ring & ~_grown(hole, 3)])
    outer = outer[: max(1, int(0.9 * len(outer)))]  # without the edges of other things
    return float(np.sqrt((fine[inner].mean() + 2.0) / ((outer.mean() if len(outer) else 0.0) + 2.0)))


def _unlike(image: np.ndarray, hole: np.ndarray, ring: np.ndarray) -> float:
    """The upper quartile of the distances from places of the hole to the nearest place around it.

    Coherence after Simakov et al. 2008, of means instead of pixels: no two patches of grass are equal. A smear has the
    colours of its surroundings, but not together with their detail; a thing seldom has either.
    """
    step = max(1, round(np.sqrt(max(hole.sum(), ring.sum()) / SAMPLES)))
    grid = np.zeros_like(hole)
    grid[step // 2 :: step, step // 2 :: step] = True
    here, there = _looks(image, hole)[hole & grid], _looks(image, ~hole)[ring & grid]
    if not len(here) or not len(there):
        return 0.0
    squares = (here**2).sum(axis=1)[:, None] + (there**2).sum(axis=1)[None] - 2 * here @ there.T
    return min(FAR, float(np.percentile(np.sqrt(np.maximum(squares.min(axis=1), 0)), 75)))


def _looks(image: np.ndarray, region: np.ndarray) -> np.ndarray:
    """A description of every pixel of a region, from nothing beyond it: H×W×5, three for colour and two for detail."""
    weight = region.astype(np.float32)

    def mean(values: np.ndarray, sigma: float) -> np.ndarray:
        share = cv2.GaussianBlur(weight, (0, 0), sigma) + 1e-4
        return np.dstack([cv2.GaussianBlur(v * weight, (0, 0), sigma) / share for v in cv2.split(values)])

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None]
    colour = mean(cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32), 2.0) / LEVELS_ALIKE
    fine, coarse = (0.5 * np.log2(mean((grey - mean(grey, s)) ** 2, 4.0) + 2.0) / OCTAVES_ALIKE for s in (1.0, 2.5))
    return np.dstack([0.7 * colour[..., :1], colour[..., 1:], fine, coarse])


def _grown(mask: np.ndarray, radius: int) -> np.ndarray:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return cv2.dilate(mask.astype(np.uint8), disc) > 0
