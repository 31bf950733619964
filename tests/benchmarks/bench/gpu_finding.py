"""Tier 4, finding: SAM's encoder, points on pictures of 1 and 12 megapixels, and Grounding DINO."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from masks.prompts import PointPrompt
from masks.sam import SamNetwork
from masks.shapes import ShapeSegmenter
from removal.weights.tensor_cores import tensor_cores
from tests.benchmarks.bench.machine import DEVICE, DTYPE, GPU, Place, memory, settled
from tests.benchmarks.bench.photos import photo

SAM_TERAFLOPS = 5.961  # of the encoder of ViT-H at 1024²; counted on a meta tensor
TARGETS = {"sam": "≥ 45", "points": "≥ 50", "dino": "≥ 40"}  # images/s on an H100


def sam(place: Place) -> Iterator[tuple]:
    """The encoder of ViT-H, and points by ViT-B from pictures of files' sizes."""
    batch = 8 if GPU else 1
    network = SamNetwork(_sam("vit_h"), DEVICE, DTYPE)
    images = [photo(1024, 768, seed) for seed in range(batch)]
    with torch.inference_mode():
        rate = batch / settled(lambda: network.encode(images))
    yield "encoder of ViT-H: images/s", rate, "", TARGETS["sam"] if GPU else ""
    if GPU:
        yield "encoder of ViT-H: MFU", SAM_TERAFLOPS * rate / place.peak
    segment = ShapeSegmenter(SamNetwork(_sam("vit_b"), DEVICE, DTYPE))
    for megapixels, width, height in ((1, 1152, 864), (12, 4000, 3000)):
        images = [photo(width, height, seed) for seed in range(batch)]
        points = [PointPrompt(((width // 2, height // 2, 1),)) for _ in images]
        rate = batch / settled(lambda images=images, points=points: segment(images, points), 3)  # type: ignore[misc]
        target = TARGETS["points"] if GPU and megapixels == 12 else ""
        yield f"points by ViT-B, {megapixels} megapixels: images/s", rate, "", target
    yield from memory()


def dino(place: Place) -> Iterator[tuple]:
    """Grounding DINO's network by its own configuration (Swin-T), as exact as float32 and on tensor cores."""
    network, given, batch = _dino()
    with torch.inference_mode():
        exact, boxes = settled(lambda: network(**given), 3), network(**given).pred_boxes
        with tensor_cores():
            quick, others = settled(lambda: network(**given), 3), network(**given).pred_boxes
    yield "images/s, float32", batch / exact
    yield "images/s, TF32 as shipped", batch / quick, "", TARGETS["dino"] if GPU else ""
    yield "boxes apart at most", float((boxes - others).abs().max()), "of the picture"
    yield from memory()


def _sam(size: str) -> Any:
    from segment_anything import sam_model_registry

    if GPU:
        return sam_model_registry[size]()
    from segment_anything.build_sam import _build_sam

    return _build_sam(encoder_embed_dim=32, encoder_depth=2, encoder_num_heads=2, encoder_global_attn_indexes=[1])


def _dino() -> tuple[Any, dict[str, Any], int]:
    """The network with random weights, a batch of pictures 800×1066 and a phrase each."""
    from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig

    swin = SwinConfig(  # Swin-T; the other settings are the library's own, those of grounding-dino-tiny
        embed_dim=96, depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24], window_size=7,
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    few = {} if GPU else {"encoder_layers": 1, "decoder_layers": 2, "num_queries": 12}
    batch, (height, width) = (8, (800, 1066)) if GPU else (1, (64, 96))
    network = GroundingDinoForObjectDetection(GroundingDinoConfig(backbone_config=swin, **few)).to(DEVICE).eval()
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.normal(size=(batch, 3, height, width)).astype(np.float32)).to(DEVICE)
    phrase = torch.tensor([[101, 2417, 3608, 1012, 102]] * batch, device=DEVICE)  # "red ball." in BERT's vocabulary
    same = torch.ones_like(phrase)
    return network, {"pixel_values": pixels, "input_ids": phrase, "attention_mask": same}, batch
