"""Tier 0: what is computed for a picture, counted at the networks; no clock, so the same on every machine."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from removal.checkpoints.known import look_up
from removal.crops.crop import Crop
from removal.options import Options
from removal.painting import pipelines
from tests.benchmarks.bench import networks

PICTURES, STEPS = 9, 20


def measure(quick: bool) -> Iterator[tuple]:
    for family in ("sd15", "sdxl") if quick else ("sd15", "sd2", "sdxl"):
        with tempfile.TemporaryDirectory() as place:
            folder = networks.save(family, Path(place), small=True)
            ours, plain = cleanplate(folder), diffusers_call(folder, family)
        cost = networks.teraflops(family)
        used, naive = (sum(rows[name] * cost[name] for name in cost) for rows in (ours, plain))
        yield f"{family}: UNet rows a picture", ours["unet"], "", "= 20", f"plain call {plain['unet']:g}"
        yield f"{family}: pictures encoded", ours["encode"], "", "= 1", f"plain call {plain['encode']:g}"
        yield f"{family}: text encoder rows", ours["text"], "", "= 0", f"plain call {plain['text']:g}"
        target = "≤ 19.8" if family != "sdxl" else ""
        yield f"{family}: work at full size", used, "TFLOP", target, f"plain call {naive:.1f}, {naive / used:.2f} times"


def cleanplate(folder: Path) -> Counter:
    """Rows a picture at strength 1, once the words are kept."""
    checkpoint = look_up(str(folder))
    options = Options(device="cpu", offline=True, steps=STEPS, strength=1.0)
    pipelines.load(checkpoint, options, 9)
    counts: Counter = Counter()
    painter = pipelines.load(checkpoint, options, 9)
    count(counts, painter.pipeline)
    side = painter.resolution
    mask = np.zeros((side, side), bool)
    mask[side // 4 : side // 2, side // 4 : side // 2] = True
    crops = [Crop(np.full((side, side, 3), 20 * k, np.uint8), mask, 0, 0, side) for k in range(PICTURES)]
    painter(crops, [*range(PICTURES)])
    return Counter({name: rows / PICTURES for name, rows in counts.items()})


def diffusers_call(folder: Path, family: str) -> Counter:
    """Rows of the documented call on one picture, with the pipeline's defaults."""
    from PIL import Image

    pipeline = stock(folder, family)
    counts: Counter = Counter()
    count(counts, pipeline)
    side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    picture = Image.new("RGB", (side, side), "grey")
    pipeline(prompt="", image=picture, mask_image=Image.new("L", (side, side), 255), height=side, width=side)
    return counts


def stock(folder: Path, family: str, **given: Any) -> Any:
    from diffusers import StableDiffusionInpaintPipeline, StableDiffusionXLInpaintPipeline

    kind = StableDiffusionXLInpaintPipeline if family == "sdxl" else StableDiffusionInpaintPipeline
    pipeline = kind.from_pretrained(folder, **({"add_watermarker": False} if family == "sdxl" else {}), **given)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def count(counts: Counter, pipeline: Any) -> None:
    """Have the networks of a pipeline count the rows that go through them."""
    for name, network, call in (
        ("unet", pipeline.unet, "forward"),
        ("encode", pipeline.vae, "encode"),
        ("decode", pipeline.vae, "decode"),
        ("text", getattr(pipeline, "text_encoder", None), "forward"),
        ("text", getattr(pipeline, "text_encoder_2", None), "forward"),
    ):
        if network is not None:
            _note(counts, network, call, name)


def _note(counts: Counter, network: Any, call: str, name: str) -> None:
    inner = getattr(network, call)

    def counted(*given: Any, **named: Any) -> Any:
        counts[name] += len(given[0] if given else next(iter(named.values())))
        return inner(*given, **named)

    setattr(network, call, counted)
