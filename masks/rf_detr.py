"""RF-DETR (Robinson et al. 2025): objects of the 80 classes of COCO with their masks, by transformers."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import numpy as np

from masks.encoding import batches_for, rows_of
from masks.prompts import Found, Instance, Prompt, TextPrompt, all_of, nothing, threshold_of
from masks.upscaling import upscaled
from removal.weights.networks import Weights

# fmt: off
COCO = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)
# fmt: on
IRREGULAR = {"people": "person", "mice": "mouse"}
ENDINGS = (("s", ""), ("es", ""), ("ves", "fe"))  # plurals: of a car, of a bus, of a knife


def class_of(phrase: str, classes: Iterable[str] = COCO) -> str:
    """The class that a phrase names, in the singular or the plural, with spaces or underscores, in any case.

    Raises ValueError, with the nearest classes, for any other phrase.
    """
    known = {_plain(name): name for name in classes}
    asked = _plain(phrase)
    said = [asked, IRREGULAR.get(asked, asked)]
    said += [asked.removesuffix(plural) + single for plural, single in ENDINGS if asked.endswith(plural)]
    for name in said:
        if name in known:
            return known[name]
    near = get_close_matches(asked, known, 3)
    meant = f"near it are {', '.join(near)}" if near else f"some are {', '.join([*known][:3])}"
    raise ValueError(
        f"{phrase!r} is none of the {len(known)} classes that rf-detr finds; {meant}; for any other phrase use "
        "--segmenter grounded-sam"
    )


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").split())


class RfDetr:
    """Takes text prompts that name one of its classes. A picture is processed once for all of them."""

    def __init__(self, weights: Weights, device: str, threshold: float):
        from transformers import RfDetrForInstanceSegmentation, RfDetrImageProcessor

        self.device, self.threshold = device, threshold
        self.processor = weights.load(RfDetrImageProcessor)
        self.model = weights.load(RfDetrForInstanceSegmentation).to(device).float().eval()
        self.classes = {name: k for k, name in self.model.config.id2label.items()}
        if not self.processor.size.get("height"):
            raise ValueError(f"{weights.repo} has no height and width to scale pictures to; RF-DETR's own weights have")
        self.batches = batches_for(device, self.processor.size["height"])

    def __call__(self, images: list[np.ndarray], prompts: list[Prompt]) -> list[Found]:
        """images: H×W×3 uint8 RGB, one TextPrompt each. Finds every object of its class, with its mask and its score.

        Raises ValueError for a phrase that names no class.
        """
        labels = [self._label(prompt) for prompt in prompts]
        found: list[Found] = [nothing(image) for image in images]
        rows = rows_of(images)
        answers = self.batches(self._look, [images[same[0]] for same in rows])
        for same, (scores, logits) in zip(rows, answers, strict=True):
            for k in same:
                level = threshold_of(prompts[k], self.threshold)
                found[k] = _of_class(images[k], scores[:, labels[k]], logits, level)
        return found

    def _label(self, prompt: Prompt) -> int:
        if not isinstance(prompt, TextPrompt):
            raise ValueError("rf-detr takes text, the name of a class; for points and boxes use --segmenter sam")
        return self.classes[class_of(prompt.text, self.classes)]

    def _look(self, images: list[np.ndarray]) -> list[tuple[Any, Any]]:
        """The scores 0..1 (queries×classes) and the small logits of masks (queries×h×w) of each image."""
        import torch

        inputs = self.processor(images=images, return_tensors="pt").to(self.device)
        with torch.inference_mode():
            answer = self.model(**inputs)
        return [*zip(answer.logits.sigmoid(), answer.pred_masks.float(), strict=True)]


def _of_class(image: np.ndarray, scores: Any, logits: Any, level: float) -> Found:
    """The objects whose score for a class (one a query) is above a level, the highest first."""
    queries = [query for query in scores.argsort(descending=True).tolist() if float(scores[query]) > level]
    masks = [(upscaled(logits[query], *image.shape[:2]), float(scores[query])) for query in queries]
    return all_of(image, [(Instance.of(mask), score) for mask, score in masks if mask.any()])
