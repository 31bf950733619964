"""How much faster a folder is done than by the loop that one would write: `make bench`. Prints ratios, writes JSON.

Both do the same pictures with the bundled inpainting checkpoint, files in and files out, in turns; a ratio is the
median of its rounds. The loop is diffusers' documented call, picture by picture. Where nothing else is said its steps
and its guidance are the pipeline's defaults (50 and 7.5), and Cleanplate's are its own (20, none).
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from flows.job import run
from flows.samples import write_scenes
from flows.settings import Job
from flows.weights import quiet_libraries
from removal import load_remover
from removal.checkpoints import BUNDLED
from tests.benchmarks.overlap import write_photos

CASES: dict[str, dict[str, Any]] = {
    "scenes of 128×128, equal steps": {"megapixels": 0, "loop": {"num_inference_steps": 20}},
    "scenes of 128×128, as shipped": {"megapixels": 0, "loop": {}},
    "PNG of 12 megapixels, as shipped": {"megapixels": 12, "loop": {}},
}


def main() -> None:
    """Print the table; with --json also write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=16, help="pictures (a quarter of them where they are large)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    quiet_libraries()
    pipeline, rows = _pipeline(), {}
    load_remover("bundled", device="cpu")  # as the pipeline: neither is timed while it loads
    print(f"{platform.processor() or platform.machine()}, {given.threads} thread(s), torch {torch.__version__}")
    for title, case in CASES.items():
        with tempfile.TemporaryDirectory() as place:
            rows[title] = _ratio(Path(place), pipeline, given.count, given.rounds, **case)
        print(f"{title}: {rows[title]['ratio']:.1f} times as fast {rows[title]['rounds']}", flush=True)
    if given.json:
        given.json.write_text(
            json.dumps({"torch": torch.__version__, "threads": given.threads, "cases": rows}, indent=1)
        )


def _ratio(place: Path, pipeline: Any, count: int, rounds: int, megapixels: float, loop: dict[str, Any]) -> dict:
    if megapixels:
        write_photos(place, max(1, count // 4), megapixels)
    else:
        write_scenes(place, count, seed=3)
    names = sorted(file.name for file in (place / "images").iterdir())
    ratios = []
    for number in range(rounds):
        theirs = _seconds(lambda: _by_hand(pipeline, place, names, loop))
        ours = _seconds(lambda k=number: _by_cleanplate(place, k))
        ratios.append(theirs / ours)
    return {"ratio": statistics.median(ratios), "rounds": [round(ratio, 2) for ratio in ratios]}


def _pipeline() -> Any:
    from diffusers import StableDiffusionInpaintPipeline

    pipeline = StableDiffusionInpaintPipeline.from_pretrained(BUNDLED / "inpainting", dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _by_hand(pipeline: Any, place: Path, names: list[str], options: dict[str, Any]) -> None:
    (place / "by hand").mkdir(exist_ok=True)
    side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    for name in names:
        image = Image.open(place / "images" / name).convert("RGB")
        mask = Image.open(place / "masks" / name).convert("L")
        painted = pipeline(prompt="", image=image, mask_image=mask, height=side, width=side, **options).images[0]
        Image.composite(painted.resize(image.size), image, mask).save(place / "by hand" / name)


def _by_cleanplate(place: Path, number: int) -> None:
    folders = {"source": place / "images", "masks": place / "masks", "target": place / f"cleaned{number}"}
    summary = run(Job(**{key: str(path) for key, path in folders.items()}, model="bundled", device="cpu"))
    if summary.counts.get("failed"):
        raise SystemExit("some pictures failed; a ratio would mean nothing")


def _seconds(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
