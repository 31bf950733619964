"""Text to masks by CLIPSeg's heat map (Lüddecke & Ecker 2022), with transformers. Coarse and quick."""

from __future__ import annotations

import cv2
import numpy as np

from masks.encoding import batches_for, rows_of
from masks.prompts import Found, Instance, Prompt, TextPrompt, nothing, threshold_of
from removal.weights.networks import Weights

CRUMB = 0.001  # share of the picture below which a patch of heat is noise


class ClipSegSegmenter:
    """Takes text prompts. Each picture of a batch is encoded once, however many phrases are asked about it."""

    def __init__(self, weights: Weights, device: str, threshold: float):
        from transformers import AutoProcessor, CLIPSegForImageSegmentation

        self.device, self.threshold = device, threshold
        self.processor = weights.load(AutoProcessor)
        self.model = weights.load(CLIPSegForImageSegmentation).to(device).float().eval()
        self.batches = batches_for(device, self.processor.image_processor.size["height"])

    def __call__(self, images: list[np.ndarray], prompts: list[Prompt]) -> list[Found]:
        """images: H×W×3 uint8 RGB, one TextPrompt each."""
        found: list[Found] = [nothing(image) for image in images]
        rows = rows_of(images)
        asked = [(images[same[0]], [prompts[k] for k in same]) for same in rows]
        for same, heats in zip(rows, self.batches(self._heat, asked), strict=True):
            for k, heat in zip(same, heats, strict=True):
                found[k] = self._find(images[k], heat, threshold_of(prompts[k], self.threshold))
        return found

    def _heat(self, asked: list[tuple[np.ndarray, list[Prompt]]]) -> list[np.ndarray]:
        """A heat map for each phrase of every image, 0..1, at the network's own size."""
        import torch

        texts = [prompt.text for _, prompts in asked for prompt in prompts if isinstance(prompt, TextPrompt)]
        counts = [len(prompts) for _, prompts in asked]
        row = torch.arange(len(asked)).repeat_interleave(torch.tensor(counts)).to(self.device)
        inputs = self.processor(
            text=texts, images=[image for image, _ in asked], padding=True, truncation=True, return_tensors="pt"
        ).to(self.device)
        model = self.model
        with torch.inference_mode():
            seen = model.clip.get_image_features(
                inputs["pixel_values"], interpolate_pos_encoding=True, output_hidden_states=True
            )
            layers = [seen.hidden_states[k + 1][row] for k in model.extract_layers]  # layer 0 is the input
            meant = model.get_conditional_embeddings(
                batch_size=len(texts), input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
            )
            logits = model.decoder(layers, meant).logits
        heat = logits.reshape(len(texts), *logits.shape[-2:]).sigmoid().cpu().numpy()
        return np.split(heat, np.cumsum(counts)[:-1])

    def _find(self, image: np.ndarray, heat: np.ndarray, threshold: float) -> Found:
        heat = cv2.resize(heat, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
        count, labels, stats, _ = cv2.connectedComponentsWithStats((heat > threshold).astype(np.uint8))
        kept = [k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] >= CRUMB * heat.size]
        if not kept:
            return nothing(image)
        mask = np.isin(labels, kept)
        boxes = tuple((float(x), float(y), float(x + w), float(y + h)) for x, y, w, h in stats[kept, :4])
        instances = tuple(Instance(x, y, labels[y : y + h, x : x + w] == k) for k, (x, y, w, h) in _sides(stats, kept))
        return Found(mask, float(heat[mask].mean()), boxes, instances)


def _sides(stats: np.ndarray, kept: list[int]) -> list[tuple[int, list[int]]]:
    return [(k, stats[k, :4].tolist()) for k in kept]
