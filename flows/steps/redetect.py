"""The second judge: the segmenter that found an object looks at the result, with the same prompts."""

from __future__ import annotations

import cv2
import numpy as np

from flows.job import Job
from flows.steps.find_masks import look_for
from flows.steps.ladder import Masked
from flows.steps.verdicts import Redetection
from masks import BoxPrompt, Found, PointPrompt, Prompt, TextPrompt, dilate
from masks.segmenters import SEGMENTERS
from removal.crops.crop import bounds

CONTEXT = 2.0  # side of the window, as a multiple of the mask's box
LEAST = 64  # pixels of that side for the segmenter
CRUMB = 0.1  # of the largest object's area; smaller parts are not objects of their own
SAME = 25  # levels that a colour may differ in every channel and still be the same

Asked = tuple[int, Prompt]  # which picture, and a prompt in pixels of its crop
Window = tuple[slice, slice]


def look_again(job: Job, masked: list[Masked], results: list[np.ndarray] | list) -> list[Redetection | None]:
    """The segmenter's finds in the results (H×W×3 uint8) of pictures it was asked about, in one call.

    None without a judgement: verify is off, a mask was given, there is no result, or the segmenter failed. Then the
    other judge decides alone.
    """
    windows = [_window(one.mask) for one in masked]
    asked = [
        (k, prompt)
        for k, (one, result) in enumerate(zip(masked, results, strict=True))
        if job.judged and isinstance(result, np.ndarray)
        for prompt in _prompts(one, windows[k])
    ]
    crops = {k: np.ascontiguousarray(results[k][windows[k]]) for k, _ in asked}
    looked = look_for(job, [crops[k] for k, _ in asked], [[prompt] for _, prompt in asked])
    found: list[list[tuple[Prompt, Found]]] = [[] for _ in masked]
    for (k, prompt), one in zip(asked, looked, strict=True):
        if isinstance(one, Found):
            found[k].append((prompt, one))
    return [_again(one, crops[k], windows[k], found[k]) if found[k] else None for k, one in enumerate(masked)]


def _again(one: Masked, crop: np.ndarray, window: Window, found: list[tuple[Prompt, Found]]) -> Redetection:
    places = _places(one.mask[window], one.outcome.dilate or 0)
    kept = (np.abs(crop.astype(np.int16) - one.picture.image[window]) < SAME).all(axis=2)
    share, overlap, everything = 0.0, 0.0, np.zeros_like(kept)
    for prompt, hit in found:
        for place in places:
            inside = hit.mask & place
            everything |= inside
            if isinstance(prompt, TextPrompt):
                share = max(share, inside.sum() / place.sum())
            else:
                overlap = max(overlap, inside.sum() / (hit.mask | place).sum())
    same = kept[everything].mean() if everything.any() else 0.0
    return Redetection(float(share), float(overlap), float(same))


def _places(mask: np.ndarray, dilated: int) -> list[np.ndarray]:
    """The place of every object: the connected parts of a mask (H×W bool) without its dilation and without crumbs."""
    shrunk = ~dilate(~mask, dilated)
    objects = shrunk if shrunk.any() else mask
    count, labels, stats, _ = cv2.connectedComponentsWithStats(objects.astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA]
    return [labels == k for k in range(1, count) if areas[k] >= CRUMB * areas[1:].max()]


def _window(mask: np.ndarray) -> Window:
    """The part of a picture around its mask that the segmenter is shown."""
    top, bottom, left, right = bounds(mask)
    margin = max(round((CONTEXT - 1) / 2 * max(bottom - top, right - left)), LEAST // 2)
    return slice(max(0, top - margin), bottom + margin), slice(max(0, left - margin), right + margin)


def _prompts(one: Masked, window: Window) -> list[Prompt]:
    """A picture's prompts, in pixels of its window.

    None if its mask was given, or found by a segmenter that finds something everywhere.
    """
    rows, columns = window
    height, width = one.mask[window].shape
    outcome = one.outcome
    finder = SEGMENTERS.get((outcome.segmenter or "").partition(":")[0])  # none of a mask that was made by hand
    if outcome.segmenter == "given" or (finder and not finder.sees):
        return []
    found: list[Prompt] = [TextPrompt.parse(text) for text in outcome.text or []]
    moved = [(x - columns.start, y - rows.start, *label) for x, y, *label in outcome.points or []]
    inside = tuple(point for point in moved if 0 <= point[0] < width and 0 <= point[1] < height)
    if any(point[2:] in ((), (1,)) for point in inside):
        found.append(PointPrompt(inside))
    for left, top, right, bottom in outcome.boxes or []:
        box = (
            max(0, left - columns.start),
            max(0, top - rows.start),
            min(width, right - columns.start),
            min(height, bottom - rows.start),
        )
        if box[0] < box[2] and box[1] < box[3]:
            found.append(BoxPrompt(box))
    return found
