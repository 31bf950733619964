"""Tier 4, removal: a folder with its files, and the painter alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from removal import load_remover, removers
from removal.crops.crop import Crop
from tests.benchmarks.bench import networks
from tests.benchmarks.bench.machine import DEVICE, GPU, Place, memory, settled
from tests.benchmarks.bench.photos import write_photos
from tests.benchmarks.bench.ratio import by_cleanplate, seconds

STEPS = 20
PICTURES = {"sd15": 256, "sdxl": 48, "lama": 512, "patchmatch": 64}  # that a GPU, or 16 cores, do in a minute or two
TARGETS = {"sd15": "≥ 11", "sdxl": "≥ 2.6", "lama": "≥ 150"}  # images/s on an H100
BATCHES = {"sd15": (1, 4, 16, 32), "sdxl": (1, 4), "lama": (1, 16)}


def files(place: Place) -> Iterator[tuple]:
    """Pictures of one megapixel, in and out, beside the painter alone on as many crops."""
    model, name = _saved(place), place.model
    many = GPU or (name == "patchmatch" and not place.quick)
    count = PICTURES[name] // (4 if place.quick else 1) if many else 2
    settings: dict[str, Any] = {"device": DEVICE, "offline": True, "compile": place.compile}
    settings |= {"method": "patchmatch"} if name == "patchmatch" else {"model": str(model)}
    settings |= {"strength": 1.0} if name.startswith("sd") else {}
    write_photos(place.folder / "first", min(count, 32), 1)
    write_photos(place.folder / "all", count, 1)
    loading = seconds(lambda: by_cleanplate(place.folder / "first", place.folder / "warm", **settings))
    rate = count / seconds(lambda: by_cleanplate(place.folder / "all", place.folder / "done", **settings))
    yield f"{name}: images/s of {count}", rate, "", TARGETS.get(name, "") if GPU else ""
    yield f"{name}: the first {min(count, 32)} with loading", loading, "s"
    if name.startswith("sd"):
        yield f"{name}: MFU", _useful(place) * rate / place.peak
    if name != "patchmatch":
        remover = _remover(place, model)
        alone = 1 / _per_crop(remover, remover.batch_size if GPU else 2)
        yield f"{name}: of the painter's own speed", rate / alone, "", "≥ 0.9" if GPU else ""
    yield f"{name}: processor cores here", os.cpu_count() or 1
    yield from memory()


def painter(place: Place) -> Iterator[tuple]:
    """Crops through the painter alone, by the size of a batch."""
    model, name = _saved(place), place.model
    for batch in BATCHES[name] if GPU else (1, 2):
        rate = 1 / _per_crop(_remover(place, model, batch), batch)
        yield f"{name}: crops/s, batch {batch}", rate
        if name.startswith("sd"):
            yield f"{name}: MFU, batch {batch}", _useful(place) * rate / place.peak
        yield from memory()


def _saved(place: Place) -> Path | None:
    """Weights of the model at random; None for a method that takes none."""
    if place.model == "patchmatch":
        return None
    if place.model == "lama":
        return networks.save_lama(place.folder / "lama.safetensors")
    return networks.save(place.model, place.folder / "model", place.small)


def _remover(place: Place, model: Path | None, batch: int | str = "auto") -> Any:
    strength = {"strength": 1.0} if place.model.startswith("sd") else {}
    removers._load.cache_clear()  # which would keep the one before in memory
    return load_remover(
        str(model), device=DEVICE, offline=True, compile=place.compile, batch_size=batch, steps=STEPS, **strength
    )


def _per_crop(remover: Any, batch: int) -> float:
    """Seconds of the painter for a crop, in batches of that size."""
    side = remover.paint.resolution
    mask = np.zeros((side, side), bool)
    mask[side // 3 : side // 2, side // 3 : side // 2] = True
    rng = np.random.default_rng(0)
    crops = [Crop(rng.integers(0, 256, (side, side, 3), np.uint8), mask, 0, 0, side) for _ in range(batch)]
    with torch.inference_mode():
        return settled(lambda: remover.paint(crops, [*range(batch)]), 3) / batch


def _useful(place: Place) -> float:
    """TFLOP that a picture takes."""
    cost = networks.teraflops(place.model, small=place.small)
    return STEPS * cost["unet"] + cost["encode"] + cost["decode"]
