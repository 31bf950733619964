"""Points and boxes without weights: GrabCut (Rother, Kolmogorov & Blake 2004), as OpenCV implements it.

It separates inside from outside by colour. That is often right in a box around one thing on a different background;
check the masks. Text needs a trained network.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from masks.prompts import BoxPrompt, Found, Instance, PointPrompt, Prompt, nothing, outside

SIDE = 320  # pixels of the longer side of the working size: a cut takes a tenth of a second
AROUND = 0.5  # of a box's longer side: the background shown on each side
ROUNDS = 4
SEED = 0  # of OpenCV's random generator, one for each thread
REACHES = (0.1, 0.2, 0.35, 0.6)  # the farthest that a thing may reach from its points, of the picture's longer side
MIDDLE = 0.3  # of a box, from side to side: certainly of the thing
TOUCH = 0.02  # radius of the certain area around a point, of the working size
CRUMB = 0.1  # of the largest piece; smaller pieces in a box are dropped


@dataclass(frozen=True)
class GrabCutSegmenter:
    """Takes points and boxes. The same picture and prompt give the same mask, in any thread."""

    def __call__(self, images: list[np.ndarray], prompts: list[Prompt]) -> list[Found]:
        """images: H×W×3 uint8 RGB. Raises TypeError for text, ValueError for a prompt outside its image."""
        return [_find(image, prompt) for image, prompt in zip(images, prompts, strict=True)]


def _find(image: np.ndarray, prompt: Prompt) -> Found:
    if reason := outside(prompt, image):
        raise ValueError(reason)
    if isinstance(prompt, BoxPrompt):
        mask, score = _in_box(image, prompt.box)
    elif isinstance(prompt, PointPrompt):
        mask, score = max((_around(image, prompt, reach) for reach in REACHES), key=lambda found: found[1])
    else:
        raise TypeError("GrabCut knows no words; it takes points and boxes")
    if not mask.any():
        return nothing(image)
    one = Instance.of(mask)
    return Found(mask, round(score, 4), (one.box,), (one,))


def _in_box(image: np.ndarray, box: tuple[float, float, float, float]) -> tuple[np.ndarray, float]:
    """The thing in a box (H×W bool), and its score (0..1)."""
    height, width = image.shape[:2]
    left, top, right, bottom = (
        int(np.clip(value, 0, limit)) for value, limit in zip(_outwards(box), (width, height) * 2, strict=True)
    )
    more = AROUND * max(right - left, bottom - top)
    window = _window(top - more, bottom + more, left - more, right + more, image.shape)
    labels = np.full(image.shape[:2], cv2.GC_BGD, np.uint8)[window]
    rows, columns = window
    inside = np.s_[top - rows.start : bottom - rows.start, left - columns.start : right - columns.start]
    labels[inside] = _guess(bottom - top, right - left)
    if (labels != cv2.GC_BGD).mean() > 0.9:  # a box around everything: its rim is the background
        rim = max(1, round(0.04 * min(labels.shape)))
        labels[:rim], labels[-rim:], labels[:, :rim], labels[:, -rim:] = (cv2.GC_BGD,) * 4
    mask, score = _cut(image[window], labels, [])
    return _placed(_pieces(mask, []), window, image.shape), score


def _guess(height: int, width: int) -> np.ndarray:
    """The labels inside a box: things fill its middle and seldom its corners. height×width uint8."""
    y, x = np.mgrid[:height, :width]
    distance = np.hypot((2 * y + 1) / height - 1, (2 * x + 1) / width - 1)
    guess = np.where(distance < 1, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    guess[distance < MIDDLE] = cv2.GC_FGD
    return guess


def _around(image: np.ndarray, prompt: PointPrompt, reach: float) -> tuple[np.ndarray, float]:
    """The thing at the points (H×W bool), if it reaches no farther than this, and its score (0..1)."""
    far = reach * max(image.shape[:2])
    on = np.array([point[:2] for point in prompt.points if point[2] == 1])
    (left, top), (right, bottom) = on.min(axis=0) - far, on.max(axis=0) + far
    window = _window(top - far / 2, bottom + far / 2, left - far / 2, right + far / 2, image.shape)
    rows, columns = window
    y, x = np.mgrid[window].astype(np.float32)
    distance = np.min([np.hypot(x - px, y - py) for px, py in on], axis=0)
    labels = np.where(distance < far, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    points = [(px - columns.start, py - rows.start, label) for px, py, label in prompt.points]
    mask, score = _cut(image[window], labels, points)
    mask = _pieces(mask, [(px, py) for px, py, label in points if label == 1])
    return _placed(mask, window, image.shape), score


def _cut(image: np.ndarray, labels: np.ndarray, points: list[tuple[float, float, int]]) -> tuple[np.ndarray, float]:
    """The foreground of a window (h×w bool) and its score; `labels` (h×w) are OpenCV's, points are in the window."""
    scale = min(1.0, SIDE / max(labels.shape))
    size = tuple(max(1, round(side * scale)) for side in labels.shape[::-1])
    small = np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA)[..., ::-1])
    given = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    radius = max(1, round(TOUCH * max(size)))
    for x, y, label in sorted(points, key=lambda point: -point[2]):  # points on the background win
        centre = (int(x * scale), int(y * scale))
        cv2.circle(given, centre, radius, cv2.GC_FGD if label == 1 else cv2.GC_BGD, -1)
    if not np.isin(given, (cv2.GC_FGD, cv2.GC_PR_FGD)).any() or not (given == cv2.GC_BGD).any():
        return np.zeros(labels.shape, bool), 0.0
    free = given != cv2.GC_BGD
    cv2.setRNGSeed(SEED)
    cv2.grabCut(small, given, None, np.zeros((1, 65)), np.zeros((1, 65)), ROUNDS, cv2.GC_INIT_WITH_MASK)
    cut = (given == cv2.GC_FGD) | (given == cv2.GC_PR_FGD)
    whole = cv2.resize(cut.astype(np.float32), labels.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
    return whole, _certainty(small, cut, free)


def _certainty(image: np.ndarray, cut: np.ndarray, free: np.ndarray) -> float:
    """The share of a cut's outline on edges of the picture, not counting where it was not allowed to continue: 0..1.

    Things end within a picture more often than backgrounds do, so half of what runs along the picture's border counts
    as outline without an edge.
    """
    outline = cv2.morphologyEx(cut.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    if not outline.any():
        return 0.0
    border = np.count_nonzero(cut[[0, -1]]) + np.count_nonzero(cut[:, [0, -1]])  # an outline is two pixels wide
    slopes = np.abs(np.stack([cv2.Sobel(image, cv2.CV_32F, 1, 0), cv2.Sobel(image, cv2.CV_32F, 0, 1)])).max(axis=(0, 3))
    strong = slopes > 2 * np.median(slopes) + 20
    inside = cv2.erode(free.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=1) > 0
    return float((strong & inside & outline).sum() / (outline.sum() + border))


def _pieces(mask: np.ndarray, points: list[tuple[float, float]]) -> np.ndarray:
    """The pieces of a mask (h×w bool) that hold a point; without points those that are more than crumbs."""
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask
    height, width = mask.shape
    held = {int(numbers[min(int(y), height - 1), min(int(x), width - 1)]) for x, y in points} - {0}
    areas = stats[:, cv2.CC_STAT_AREA]
    large = {k for k in range(1, count) if areas[k] >= CRUMB * areas[1:].max()}
    return np.isin(numbers, list(held or large))


def _outwards(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    return np.floor(left), np.floor(top), np.ceil(right), np.ceil(bottom)


def _window(top: float, bottom: float, left: float, right: float, shape: tuple[int, ...]) -> tuple[slice, slice]:
    rows = slice(max(0, int(top)), min(shape[0], int(np.ceil(bottom)) + 1))
    columns = slice(max(0, int(left)), min(shape[1], int(np.ceil(right)) + 1))
    return rows, columns


def _placed(mask: np.ndarray, window: tuple[slice, slice], shape: tuple[int, ...]) -> np.ndarray:
    whole = np.zeros(shape[:2], bool)
    whole[window] = mask
    return whole
