"""Segmenters made of two: boxes for a text and masks for the boxes, or one for text and one for points and boxes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from masks.detectors import Box, Detection
from masks.prompts import BoxPrompt, Found, Prompt, TextPrompt, nothing, union

Detector = Callable[[list[np.ndarray], list[TextPrompt]], list[list[Detection]]]


class GroundedSegmenter:
    """Text to boxes by a detector, boxes to masks by another segmenter, which also takes points and boxes directly."""

    def __init__(self, detect: Detector, shapes: Any):
        self.detect, self.shapes = detect, shapes

    def __call__(self, images: list[np.ndarray], prompts: list[Prompt]) -> list[Found]:
        """images: H×W×3 uint8 RGB, one prompt each."""
        phrases = {k: prompt for k, prompt in enumerate(prompts) if isinstance(prompt, TextPrompt)}
        boxes = dict(zip(phrases, self.detect([images[k] for k in phrases], [*phrases.values()]), strict=True))
        asked: list[tuple[int, Prompt]] = []
        for k, prompt in enumerate(prompts):
            asked += [(k, box) for box in _inside(boxes[k], images[k])] if k in boxes else [(k, prompt)]
        parts: dict[int, list[Found]] = {k: [nothing(image)] for k, image in enumerate(images)}
        answers = self.shapes([images[k] for k, _ in asked], [prompt for _, prompt in asked])
        for (k, _), answer in zip(asked, answers, strict=True):
            parts[k].append(answer)
        return [_grounded(union(parts[k]), boxes.get(k)) for k in parts]


def _inside(boxes: list[Detection], image: np.ndarray) -> list[Prompt]:
    """Boxes clipped to the image; those outside it are dropped."""
    height, width = image.shape[:2]
    cut = [(max(0.0, a), max(0.0, b), min(float(width), c), min(float(height), d)) for (a, b, c, d), _ in boxes]
    return [BoxPrompt(box) for box in cut if box[0] < box[2] and box[1] < box[3]]


def _grounded(found: Found, boxes: list[Detection] | None) -> Found:
    """The score of a text's find is the lowest score of its boxes."""
    if not boxes or not found:
        return found
    where: tuple[Box, ...] = tuple(box for box, _ in boxes)
    return Found(found.mask, min(score for _, score in boxes), where, found.instances)


class ByKind:
    """Sends text prompts to one segmenter and points and boxes to another."""

    def __init__(self, text: Any, shape: Any):
        self.text, self.shape = text, shape

    def __call__(self, images: list[np.ndarray], prompts: list[Prompt]) -> list[Found]:
        """images: H×W×3 uint8 RGB, one prompt each."""
        found: list[Found] = [nothing(image) for image in images]
        for segment, wanted in ((self.text, True), (self.shape, False)):
            picks = [k for k, prompt in enumerate(prompts) if isinstance(prompt, TextPrompt) == wanted]
            if picks:
                results = segment([images[k] for k in picks], [prompts[k] for k in picks])
                for k, result in zip(picks, results, strict=True):
                    found[k] = result
        return found
