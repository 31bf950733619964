"""Tier 3: how much faster a folder is done than by the loop that one would write, with the bundled checkpoint.

Files in and files out, in turns; a ratio is the median of its rounds. The loop is diffusers' documented call, picture
by picture, and so it need not do a whole folder for its time a picture. Where nothing else is said its steps and its
guidance are the pipeline's defaults (50 and 7.5), and Cleanplate's are its own (20, none).
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from flows.job import Job
from flows.run import run
from flows.samples.scenes import write_scenes
from removal import load_remover
from removal.checkpoints.presets import BUNDLED
from tests.benchmarks.bench.photos import write_photos
from tests.benchmarks.bench.work import stock

CASES: dict[str, tuple[int, int, dict[str, Any], str]] = {  # pictures, megapixels (0: scenes), options, target
    "16 scenes of 128×128, equal steps": (16, 0, {"num_inference_steps": 20}, "≥ 2"),
    "16 scenes of 128×128, as shipped": (16, 0, {}, "≥ 4.5"),
    "48 PNG of 12 megapixels, as shipped": (48, 12, {}, "≥ 8"),
}


def measure(quick: bool) -> Iterator[tuple]:
    pipeline = stock(BUNDLED / "inpainting", "sd15", safety_checker=None, dtype=torch.float32)
    load_remover("bundled", device="cpu")  # as the pipeline: neither is timed while it loads
    for title, (count, megapixels, loop, target) in CASES.items():
        with tempfile.TemporaryDirectory() as place:
            ratios = _ratios(Path(place), pipeline, megapixels, loop, *((4, 1) if quick else (count, 3)))
        rounds = " ".join(f"{ratio:.1f}" for ratio in ratios)
        yield title, statistics.median(ratios), "times as fast", target, f"rounds {rounds}"


def _ratios(
    place: Path, pipeline: Any, megapixels: float, loop: dict[str, Any], count: int, rounds: int
) -> list[float]:
    if megapixels:
        write_photos(place, count, megapixels)
    else:
        write_scenes(place, count, seed=3)
    names = sorted(file.name for file in (place / "images").iterdir())
    few = names[:4] if megapixels else names  # of large ones, which take it seven seconds each
    ratios = []
    for number in range(rounds):
        theirs = seconds(lambda: by_hand(pipeline, place, few, loop))
        ours = seconds(lambda k=number: by_cleanplate(place, place / f"cleaned{k}", model="bundled", device="cpu"))
        ratios.append((theirs / len(few)) / (ours / count))
    return ratios


def by_hand(pipeline: Any, place: Path, names: list[str], options: dict[str, Any]) -> None:
    """The loop, in `place`: images, masks and a folder for the results."""
    (place / "by hand").mkdir(exist_ok=True)
    side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    for name in names:
        image = Image.open(place / "images" / name).convert("RGB")
        mask = Image.open(place / "masks" / name).convert("L")
        painted = pipeline(prompt="", image=image, mask_image=mask, height=side, width=side, **options).images[0]
        Image.composite(painted.resize(image.size), image, mask).save(place / "by hand" / name)


def by_cleanplate(place: Path, target: Path, **settings: Any) -> None:
    """The same folder by a run. Raises SystemExit where a picture failed: a ratio would mean nothing."""
    folders = {"source": place / "images", "masks": place / "masks", "target": target}
    summary = run(Job(**{key: str(path) for key, path in folders.items()}, **settings))
    if summary.counts.get("failed"):
        raise SystemExit("some pictures failed; a ratio would mean nothing")


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
