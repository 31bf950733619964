"""Text to masks with transformers: CLIPSeg alone, or Grounding DINO's boxes through SAM."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from masks.prompts import Found, Prompt, TextPrompt, nothing
from masks.sam import SamSegmenter

CRUMB = 0.001  # share of the picture below which a patch of CLIPSeg's heat is noise


class ClipSegSegmenter:
    """Text to mask by CLIPSeg's heat map (Lüddecke & Ecker 2022). Coarse, and one forward for a whole batch."""

    def __init__(self, repo: str, device: str, threshold: float, **where: Any):
        from transformers import AutoProcessor, CLIPSegForImageSegmentation

        self.device, self.threshold = device, threshold
        self.processor = _pretrained(AutoProcessor, repo, **where)
        model = _pretrained(CLIPSegForImageSegmentation, repo, use_safetensors=True, **where)
        self.model = model.to(device).float().eval()

    def __call__(self, images: list[np.ndarray], prompts: list[Prompt]) -> list[Found]:
        """images: H×W×3 uint8 RGB, one TextPrompt each."""
        import torch

        texts = [prompt.text for prompt in prompts if isinstance(prompt, TextPrompt)]
        inputs = self.processor(text=texts, images=images, padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            logits = self.model(**inputs.to(self.device)).logits.float()
        heat = logits.reshape(len(images), *logits.shape[-2:]).sigmoid().cpu().numpy()
        return [self._find(image, h) for image, h in zip(images, heat, strict=True)]

    def _find(self, image: np.ndarray, heat: np.ndarray) -> Found:
        heat = cv2.resize(heat, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
        count, labels, stats, _ = cv2.connectedComponentsWithStats((heat > self.threshold).astype(np.uint8))
        kept = [k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] >= CRUMB * heat.size]
        if not kept:
            return nothing(image)
        mask = np.isin(labels, kept)
        boxes = tuple((float(x), float(y), float(x + w), float(y + h)) for x, y, w, h in stats[kept, :4])
        return Found(mask, float(heat[mask].mean()), boxes)


class GroundedSamSegmenter:
    """Text to boxes by Grounding DINO (Liu et al. 2023), boxes to masks by SAM; points and boxes go to SAM."""

    def __init__(self, repo: str, sam: SamSegmenter, device: str, threshold: float, **where: Any):
        from transformers import AutoProcessor, GroundingDinoForObjectDetection

        self.sam, self.device, self.threshold = sam, device, threshold
        self.processor = _pretrained(AutoProcessor, repo, **where)
        model = _pretrained(GroundingDinoForObjectDetection, repo, use_safetensors=True, **where)
        self.model = model.to(device).eval()

    def __call__(self, images: list[np.ndarray], prompts: list[Prompt]) -> list[Found]:
        """images: H×W×3 uint8 RGB, one prompt each."""
        return [self._find(image, prompt) for image, prompt in zip(images, prompts, strict=True)]

    def _find(self, image: np.ndarray, prompt: Prompt) -> Found:
        if not isinstance(prompt, TextPrompt):
            return self.sam([image], [prompt])[0]
        boxes, scores = self._boxes(image, prompt.text)
        if not boxes:
            return nothing(image)
        mask = self.sam.boxes(image, boxes)
        return Found(mask, min(scores), tuple(boxes)) if mask.any() else nothing(image)

    def _boxes(self, image: np.ndarray, text: str) -> tuple[list[tuple[float, float, float, float]], list[float]]:
        import torch

        phrase = text.lower().strip().rstrip(".") + "."  # lower case and a full stop, as the model card asks
        inputs = self.processor(images=image, text=phrase, return_tensors="pt").to(self.device)
        with torch.inference_mode():
            outputs = self.model(**inputs)
        result = self.processor.post_process_grounded_object_detection(
            outputs, inputs["input_ids"], threshold=self.threshold, text_threshold=0.25, target_sizes=[image.shape[:2]]
        )[0]
        boxes = [(float(a), float(b), float(c), float(d)) for a, b, c, d in result["boxes"].tolist()]
        return boxes, [float(score) for score in result["scores"]]


class ByKind:
    """Sends text prompts to one segmenter and points and boxes to another."""

    def __init__(self, text: Any, shape: Any):
        self.text, self.shape = text, shape

    def __call__(self, images: list[np.ndarray], prompts: list[Prompt]) -> list[Found]:
        found: list[Found] = [nothing(image) for image in images]
        for segment, wanted in ((self.text, True), (self.shape, False)):
            picks = [k for k, prompt in enumerate(prompts) if isinstance(prompt, TextPrompt) == wanted]
            if picks:
                results = segment([images[k] for k in picks], [prompts[k] for k in picks])
                for k, result in zip(picks, results, strict=True):
                    found[k] = result
        return found


def _pretrained(kind: Any, repo: str, **where: Any) -> Any:
    """What transformers has under `repo`; its own error for weights that are not there does not name them."""
    try:
        return kind.from_pretrained(repo, **where)
    except OSError as error:
        raise OSError(f"the weights of {repo} cannot be had: {error}") from error
