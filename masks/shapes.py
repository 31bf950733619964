"""Points and boxes to masks by a network that encodes a picture once and answers all its prompts from that."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, Protocol

import numpy as np

from masks.encoding import batches_for, rows_of
from masks.morphology import outline
from masks.prompts import BoxPrompt, Found, Instance, PointPrompt, Prompt, nothing, outside
from masks.upscaling import upscaled

BOXES = 16  # prompts of one picture in one call of the decoder

Answer = tuple[Any, float]  # logits h×w that cover the picture, and the network's score


class Network(Protocol):
    """The interface shared by Segment Anything and its successors."""

    side: int  # pixels of the encoder's square
    device: str

    def encode(self, images: list[np.ndarray]) -> list[Any]:
        """One embedding for each image, from one pass of the encoder."""

    def boxes(self, embedding: Any, size: tuple[int, int], boxes: list[BoxPrompt]) -> list[Answer]:
        """An answer for each box in a picture of size (height, width)."""

    def points(self, embedding: Any, size: tuple[int, int], points: PointPrompt) -> Answer:
        """The answer for points on one object."""


class ShapeSegmenter:
    """Takes point and box prompts. Images are encoded in batches, each once, however many prompts it has."""

    def __init__(self, network: Network):
        self.network = network
        self.batches = batches_for(network.device, network.side)

    def __call__(self, images: list[np.ndarray], prompts: list[Prompt]) -> list[Found]:
        """images: H×W×3 uint8 RGB, one prompt each. A prompt outside its image raises ValueError."""
        import torch

        for image, prompt in zip(images, prompts, strict=True):
            if reason := outside(prompt, image):
                raise ValueError(reason)
        found: list[Found] = [nothing(image) for image in images]
        rows = rows_of(images)
        with torch.inference_mode():
            embeddings = self.batches(self.network.encode, [images[same[0]] for same in rows])
            for same, embedding in zip(rows, embeddings, strict=True):
                image = images[same[0]]
                for k, answer in self._answers(embedding, image, {k: prompts[k] for k in same}):
                    found[k] = _found(image, answer)
        return found

    def _answers(self, embedding: Any, image: np.ndarray, asked: dict[int, Prompt]) -> Iterable[tuple[int, Answer]]:
        size = (image.shape[0], image.shape[1])
        boxes = iter([(k, prompt) for k, prompt in asked.items() if isinstance(prompt, BoxPrompt)])
        while some := list(islice(boxes, BOXES)):
            answers = self.network.boxes(embedding, size, [prompt for _, prompt in some])
            yield from zip((k for k, _ in some), answers, strict=True)
        for k, prompt in asked.items():
            if isinstance(prompt, PointPrompt):
                yield k, self.network.points(embedding, size, prompt)


def _found(image: np.ndarray, answer: Answer) -> Found:
    logits, score = answer
    mask = upscaled(logits, *image.shape[:2])
    if not mask.any():
        return nothing(image)
    return Found(mask, float(np.clip(score, 0, 1)), (outline(mask),), (Instance.of(mask),))
