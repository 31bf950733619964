"""Tier 4: full-size networks with random weights on a GPU, files included, and how much of its measured peak they take.

MFU is useful operations a second, counted at full size, over the peak of a matrix product in the same run. Without a
GPU the same code runs tiny networks on the CPU, whose figures say nothing of one.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from masks.sam import SamNetwork
from tests.benchmarks.bench import networks
from tests.benchmarks.bench.photos import photo, write_photos
from tests.benchmarks.bench.ratio import by_cleanplate, by_hand, seconds
from tests.benchmarks.bench.work import stock

STEPS = 20
TARGETS = {"sd15": "≥ 18", "sd2": "≥ 20", "sdxl": "≥ 3", "sam": "≥ 55"}  # images/s on an H200
SAM_TERAFLOPS = 5.961  # of the encoder of ViT-H at 1024²; counted on a meta tensor


def measure(quick: bool) -> Iterator[tuple]:
    gpu = torch.cuda.is_available()
    where = "" if gpu else "tiny, on the CPU: it has not been run on a GPU"
    peak = _peak(gpu)
    yield "matrix product, the peak of this run", peak, "TFLOP/s", "", where
    for family in ("sd15",) if quick else ("sd15", "sd2", "sdxl"):
        yield from _removal(family, gpu, peak, where, quick)
    yield from _segmenter(gpu, peak, where)


def _removal(family: str, gpu: bool, peak: float, where: str, quick: bool) -> Iterator[tuple]:
    cost = networks.teraflops(family, small=not gpu)
    useful = STEPS * cost["unet"] + cost["encode"] + cost["decode"]
    settings = {"device": "cuda" if gpu else "cpu", "strength": 1.0, "offline": True}
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        model = networks.save(family, place / "model", small=not gpu)
        count = (64 if quick else 256) if gpu else 2
        write_photos(place / "first", min(count, 64), 1)
        write_photos(place / "all", count, 1)
        by_cleanplate(place / "first", place / "warm", model=str(model), **settings)  # loads, and finds its kernels
        took = seconds(lambda: by_cleanplate(place / "all", place / "done", model=str(model), **settings))
        rate = count / took
        yield f"{family}: images/s, {STEPS} steps, files included", rate, "", TARGETS[family] if gpu else "", where
        yield f"{family}: MFU", useful * rate / peak, "", "", f"{useful:.3g} TFLOP an image"
        if gpu:
            yield f"{family}: GPU memory at most", torch.cuda.max_memory_allocated() / 1e9, "GB"
        few = sorted(file.name for file in (place / "all" / "images").iterdir())[: 8 if gpu else 1]
        pipeline = stock(model, family, dtype=torch.bfloat16 if gpu else torch.float32)
        pipeline.to(settings["device"])
        plain = len(few) / seconds(lambda: by_hand(pipeline, place / "all", few, {}))
        yield f"{family}: times a plain diffusers loop", rate / plain, "times", "≥ 15" if gpu else "", where


def _segmenter(gpu: bool, peak: float, where: str) -> Iterator[tuple]:
    network, device, batch = _sam(gpu), "cuda" if gpu else "cpu", 8 if gpu else 1
    sam = SamNetwork(network, device, torch.bfloat16 if gpu else torch.float32)
    images = [photo(1024, 768, seed) for seed in range(batch)]
    with torch.inference_mode():
        took = _settled(lambda: sam.encode(images), gpu)
    rate = batch / took
    yield (
        "SAM ViT-H encoder: images/s" if gpu else "SAM encoder: images/s",
        rate,
        "",
        TARGETS["sam"] if gpu else "",
        where,
    )
    if gpu:
        yield "SAM ViT-H encoder: MFU", SAM_TERAFLOPS * rate / peak


def _sam(gpu: bool) -> Any:
    from segment_anything import sam_model_registry

    if gpu:
        return sam_model_registry["vit_h"]()
    from segment_anything.build_sam import _build_sam

    return _build_sam(encoder_embed_dim=32, encoder_depth=2, encoder_num_heads=2, encoder_global_attn_indexes=[1])


def _peak(gpu: bool) -> float:
    side, dtype, device = (8192, torch.bfloat16, "cuda") if gpu else (1024, torch.float32, "cpu")
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / _settled(lambda: left @ right, gpu) / 1e12


def _settled(work: Callable[[], Any], gpu: bool, times: int = 10) -> float:
    """Seconds of one call, the best of several after a warm-up."""
    best = float("inf")
    for _ in range(times + 2):
        began = time.perf_counter()
        work()
        if gpu:
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return best
