"""How busy a run keeps its model: a stand-in that only sleeps, with pictures as large as photos. Prints a table.

Busy is the share of the time from the model's first call to the end of its last one. What counts is how long the model
takes for a picture beside what the processor takes to read and write it; each row of the table is one such proportion.
`python -m tests.benchmarks.overlap --pictures 64 --megapixels 3`
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np

from flows.encoding import encode_image
from flows.job import run
from flows.mask_files import encode_mask
from flows.settings import Job
from removal.telea import TELEA


class Sleeper:
    """A remover that takes `seconds` for each picture, and no processor."""

    choice, steps, strength = TELEA, None, None

    def __init__(self, seconds: float):
        self.seconds, self.busy, self.began, self.ended = seconds, 0.0, 0.0, 0.0

    def __call__(self, images: list[np.ndarray], masks: list[np.ndarray], seeds: list[int]) -> list[np.ndarray]:
        started = time.monotonic()
        self.began = self.began or started
        time.sleep(self.seconds * len(images))
        self.ended = time.monotonic()
        self.busy += self.ended - started
        return images

    @property
    def share(self) -> float:
        return self.busy / (self.ended - self.began)


def photo(width: int, height: int, seed: int) -> np.ndarray:
    """Something with detail at every scale and a little noise, H×W×3 uint8."""
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 2, (height, width, 3)).astype(np.float32)
    for size in (8, 32, 128, 512):
        coarse = rng.normal(0, 4 * np.sqrt(size), (height // size + 2, width // size + 2, 3)).astype(np.float32)
        image += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(image + 128, 0, 255).astype(np.uint8)


def write_photos(folder: Path, pictures: int, megapixels: float) -> None:
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = height * 4 // 3
    mask = np.zeros((height, width), bool)
    mask[height // 3 : height // 2, width // 3 : width // 2] = True
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for number in range(pictures):
        image = encode_image(photo(width, height, number % 4))
        (folder / "images" / f"{number:04}.png").write_bytes(image)
        (folder / "masks" / f"{number:04}.png").write_bytes(encode_mask(mask))


def one_after_another(pool: object, work: Callable, source: Iterator, depth: int) -> Iterator:
    """In the place of `ahead`: nothing at the same time."""
    return map(work, source)


def timed(folder: Path, seconds: float, overlapping: bool) -> tuple[Sleeper, float, float]:
    """A run with its model, the processor's seconds and those of the clock for each picture."""
    sleeper = Sleeper(seconds)
    pictures = len(list((folder / "images").iterdir()))
    with tempfile.TemporaryDirectory() as target, patch("flows.remove_masked.load_remover", lambda *_, **__: sleeper):
        job = Job(source=str(folder / "images"), masks=str(folder / "masks"), target=target, model="bundled")
        worked, began = time.process_time(), time.monotonic()
        if overlapping:
            run(job)
        else:
            with (
                patch("flows.remove_masked.ahead", one_after_another),
                patch("flows.find_masks.ahead", one_after_another),
            ):
                run(job)
    return sleeper, (time.process_time() - worked) / pictures, (time.monotonic() - began) / pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--megapixels", type=float, default=3.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_photos(folder, asked.pictures, asked.megapixels)
        _, cost, _ = timed(folder, 0.0, overlapping=False)
        print(f"{asked.pictures} pictures of {asked.megapixels:g} megapixels, {1000 * cost:.0f} ms of processor each")
        print("| model : processor | busy, one after another | busy, overlapping | wall time, ratio |")
        print("|---|---|---|---|")
        for proportion in (1, 2, 4):
            plain, _, slow = timed(folder, proportion * cost, overlapping=False)
            beside, _, fast = timed(folder, proportion * cost, overlapping=True)
            print(f"| {proportion} : 1 | {plain.share:.2f} | {beside.share:.2f} | {slow / fast:.2f} |", flush=True)


if __name__ == "__main__":
    main()
