"""Tier 1: what is left out or batched changes no picture: the largest difference in levels, of 255."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from removal.bundled.scenes import scene
from removal.checkpoints.known import look_up
from removal.crops.crop import Crop, cut
from removal.crops.remover import CropRemover
from removal.options import Options
from removal.painting import pipelines
from tests.benchmarks.bench import networks

OPTIONS = Options(device="cpu", offline=True, steps=8, strength=1.0)


def measure(quick: bool) -> Iterator[tuple]:
    scenes = [scene(seed) for seed in range(4 if quick else 8)]
    checkpoint = look_up("bundled")
    painter = pipelines.load(checkpoint, OPTIONS, 9)
    crops, seeds = [cut(one.image, one.mask, painter.resolution) for one in scenes], [*range(len(scenes))]
    batch = painter(crops, seeds)
    yield "alone or in a batch", _most(batch, _alone(painter, crops, seeds)), "levels", "≤ 1"
    yield "in another order", _most(batch, painter(crops[::-1], seeds[::-1])[::-1]), "levels", "≤ 1"
    guided = pipelines.load(checkpoint, replace(OPTIONS, guidance=7.5), 9)
    guided = replace(
        guided,
        prompt_embeddings=guided.prompt_embeddings
        | {"negative_prompt_embeds": guided.prompt_embeddings["prompt_embeds"].clone()},
    )
    yield "with guidance from the same words", _most(batch, guided(crops, seeds)), "levels", "≤ 1"
    stock = replace(painter, encoded=False)
    yield "encoded by the stock pipeline, one by one", _most(batch, stock(crops, seeds)), "levels", "≤ 1"
    painter.pipeline.unet.to(memory_format=torch.channels_last)
    yield "channels last", _most(batch, painter(crops, seeds)), "levels", "≤ 1"
    with tempfile.TemporaryDirectory() as place:
        row = look_up(str(networks.save("sd15", Path(place), small=True)))
        first, kept = (pipelines.load(row, OPTIONS, 9).prompt_embeddings["prompt_embeds"] for _ in range(2))
    yield "words kept on disk", float((first - kept).abs().max()), "", "= 0"
    remover = CropRemover(_choice(), painter, 2.0, 4)
    results = remover([one.image for one in scenes], [one.mask for one in scenes], seeds)
    outside = max(int(np.abs(r.astype(int) - s.image)[~s.mask].max()) for r, s in zip(results, scenes, strict=True))
    yield "pixels outside the masks", outside, "levels", "= 0"


def _choice():
    from removal import choose

    return choose("bundled")


def _alone(painter: pipelines.Painter, crops: list[Crop], seeds: list[int]) -> list[np.ndarray]:
    return [painter([crop], [seed])[0] for crop, seed in zip(crops, seeds, strict=True)]


def _most(ours: list[np.ndarray], others: list[np.ndarray]) -> int:
    return max(int(np.abs(one.astype(int) - other).max()) for one, other in zip(ours, others, strict=True))
