"""Text to boxes with transformers: Grounding DINO, its successors, and OWLv2. A picture goes through once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from masks.encoding import batches_for, rows_of
from masks.prompts import TextPrompt, threshold_of
from removal.weights.networks import Weights

Box = tuple[float, float, float, float]
Detection = tuple[Box, float]
Asked = tuple[np.ndarray, list[TextPrompt]]  # an image and all its phrases

DUPLICATE = 0.5  # of two boxes that overlap by this much (intersection over union), OWLv2's less certain one is dropped


class GroundingDino:
    """Grounding DINO (Liu et al. 2023), MM-Grounding-DINO (Zhao et al. 2024) and LLMDet (Fu et al. 2025).

    The weights' own config says which. The network needs pictures of one size, so a batch holds pictures of one size.

    Its second threshold, for words, only decides which of several words labels a box. Here every phrase is asked alone,
    so there is nothing to decide.
    """

    def __init__(self, weights: Weights, device: str, threshold: float):
        from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

        self.device, self.threshold = device, threshold
        self.processor = weights.load(AutoProcessor)
        self.model = weights.load(AutoModelForZeroShotObjectDetection).to(device).float().eval()
        self.batches = batches_for(device, self.processor.image_processor.size["shortest_edge"])

    def __call__(self, images: list[np.ndarray], prompts: list[TextPrompt]) -> list[list[Detection]]:
        """images: H×W×3 uint8 RGB, one phrase each. Returns the boxes found, in pixels, with their scores."""
        found: list[list[Detection]] = [[] for _ in images]
        rows = rows_of(images)
        for shape in dict.fromkeys(image.shape for image in images):
            some = [same for same in rows if images[same[0]].shape == shape]
            asked: list[Asked] = [(images[same[0]], [prompts[k] for k in same]) for same in some]
            for same, hits in zip(some, self.batches(self._look, asked), strict=True):
                for k, boxes in zip(same, hits, strict=True):
                    found[k] = boxes
        return found

    def _look(self, asked: list[Asked]) -> list[list[list[Detection]]]:
        import torch

        row = [k for k, (_, prompts) in enumerate(asked) for _ in prompts]
        prompts = [prompt for _, some in asked for prompt in some]
        # Lower case and a full stop, as the model card asks.
        phrases = [prompt.text.lower().strip().rstrip(".") + "." for prompt in prompts]
        inputs = self.processor(
            images=[image for image, _ in asked], text=phrases, padding=True, return_tensors="pt"
        ).to(self.device)
        for key in ("pixel_values", "pixel_mask"):
            inputs[key] = inputs[key][row]
        with torch.inference_mode(), _once_each(self.model.model.backbone, row):
            outputs = self.model(**inputs)
        levels = [threshold_of(prompt, self.threshold) for prompt in prompts]
        results = self.processor.post_process_grounded_object_detection(
            outputs, inputs["input_ids"], threshold=min(levels), target_sizes=[asked[k][0].shape[:2] for k in row]
        )
        hits = iter([_above(level, result) for level, result in zip(levels, results, strict=True)])
        return [[next(hits) for _ in some] for _, some in asked]


@contextmanager
def _once_each(backbone: Any, row: list[int]) -> Iterator[None]:
    """Make a backbone that is given the same pictures repeatedly (row k is picture `row[k]`) run once for each."""
    firsts = [row.index(k) for k in range(max(row) + 1)]
    before = backbone.register_forward_pre_hook(lambda _, given: tuple(each[firsts] for each in given))
    after = backbone.register_forward_hook(
        lambda _, given, made: ([(seen[row], mask[row]) for seen, mask in made[0]], [place[row] for place in made[1]])
    )
    try:
        yield
    finally:
        before.remove()
        after.remove()


class Owlv2:
    """OWLv2 (Minderer et al. 2023). It answers any number of phrases about a picture in one pass."""

    def __init__(self, weights: Weights, device: str, threshold: float):
        from transformers import AutoProcessor, Owlv2ForObjectDetection

        self.device, self.threshold = device, threshold
        self.processor = weights.load(AutoProcessor)
        self.model = weights.load(Owlv2ForObjectDetection).to(device).float().eval()
        self.batches = batches_for(device, self.processor.image_processor.size["height"])

    def __call__(self, images: list[np.ndarray], prompts: list[TextPrompt]) -> list[list[Detection]]:
        """images: H×W×3 uint8 RGB, one phrase each. The boxes found, in pixels, with their scores."""
        found: list[list[Detection]] = [[] for _ in images]
        rows = rows_of(images)
        asked: list[Asked] = [(images[same[0]], [prompts[k] for k in same]) for same in rows]
        for same, hits in zip(rows, self.batches(self._look, asked), strict=True):
            for k, boxes in zip(same, hits, strict=True):
                found[k] = boxes
        return found

    def _look(self, asked: list[Asked]) -> list[list[list[Detection]]]:
        import torch

        images = [image for image, _ in asked]
        phrases = [[prompt.text for prompt in prompts] for _, prompts in asked]
        inputs = self.processor(text=phrases, images=images, return_tensors="pt").to(self.device)
        with torch.inference_mode():
            outputs = self.model(**inputs)
        return [[self._boxes(outputs, k, q, asked) for q in range(len(some))] for k, (_, some) in enumerate(asked)]

    def _boxes(self, outputs: Any, picture: int, query: int, asked: list[Asked]) -> list[Detection]:
        """The finds for a single phrase, without duplicates."""
        from torchvision.ops import nms
        from transformers.models.owlv2.modeling_owlv2 import Owlv2ObjectDetectionOutput

        image, prompts = asked[picture]
        level = threshold_of(prompts[query], self.threshold)
        own = Owlv2ObjectDetectionOutput(
            logits=outputs.logits[picture][None, :, query : query + 1], pred_boxes=outputs.pred_boxes[picture][None]
        )
        result = self.processor.post_process_grounded_object_detection(
            own, threshold=level, target_sizes=[image.shape[:2]]
        )[0]
        kept = nms(result["boxes"], result["scores"], DUPLICATE)
        return _above(level, {key: result[key][kept] for key in ("boxes", "scores")})


def _above(level: float, result: Any) -> list[Detection]:
    found = zip(result["boxes"].tolist(), result["scores"].tolist(), strict=True)
    return [((float(a), float(b), float(c), float(d)), float(score)) for (a, b, c, d), score in found if score > level]
