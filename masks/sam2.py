"""Segment Anything 2.1 (Ravi et al. 2024) for single pictures, with transformers."""

from __future__ import annotations

from typing import Any

import numpy as np

from masks.prompts import BoxPrompt, PointPrompt
from masks.shapes import Answer
from removal.weights.networks import Weights


class Sam2Network:
    """A loaded SAM 2.1. Its encoder works in `dtype` if the device can, the decoder in float32."""

    def __init__(self, weights: Weights, device: str, dtype: Any):
        from transformers import Sam2Model, Sam2Processor

        self.device, self.dtype = device, dtype
        self.processor = weights.load(Sam2Processor)
        self.model = weights.load(Sam2Model).to(device).float().eval()
        self.side = self.processor.image_processor.size["height"]

    def encode(self, images: list[np.ndarray]) -> list[Any]:
        """H×W×3 uint8 images of any size → an embedding each: feature maps at three sizes."""
        import torch

        pixels = self.processor(images=images, return_tensors="pt")["pixel_values"].to(self.device)
        kind = torch.device(self.device).type
        with torch.autocast(kind, self.dtype, enabled=self.dtype != torch.float32):
            maps = self.model.get_image_embeddings(pixels)
        return [[each[k : k + 1].float() for each in maps] for k in range(len(images))]

    def boxes(self, embedding: Any, size: tuple[int, int], boxes: list[BoxPrompt]) -> list[Answer]:
        """One mask a box."""
        asked = self.processor(
            input_boxes=[[[float(side) for side in prompt.box] for prompt in boxes]],
            original_sizes=[list(size)], return_tensors="pt",
        )  # fmt: skip
        return self._decode(embedding, input_boxes=asked["input_boxes"], multimask_output=False)

    def points(self, embedding: Any, size: tuple[int, int], points: PointPrompt) -> Answer:
        """One point may mean a part or the whole, so SAM proposes three masks; the best by its own score is taken."""
        places = [[[float(x) + 0.5, float(y) + 0.5] for x, y, _ in points.points]]  # the centres of pixels
        asked = self.processor(
            input_points=[places], input_labels=[[[label for *_, label in points.points]]],
            original_sizes=[list(size)], return_tensors="pt",
        )  # fmt: skip
        return self._decode(
            embedding, input_points=asked["input_points"], input_labels=asked["input_labels"],
            multimask_output=len(points.points) == 1,
        )[0]  # fmt: skip

    def _decode(self, embedding: Any, multimask_output: bool, **asked: Any) -> list[Answer]:
        """The best mask of each prompt, chosen while they are small."""
        prompts = {name: value.to(self.device) for name, value in asked.items()}
        answer = self.model(image_embeddings=embedding, multimask_output=multimask_output, **prompts)
        best = answer.iou_scores[0].argmax(-1)
        return [
            (answer.pred_masks[0, k, choice], float(answer.iou_scores[0, k, choice]))
            for k, choice in enumerate(best.tolist())
        ]
