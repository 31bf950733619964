"""Tier 2: how busy a run keeps a device that sleeps, or needs the interpreter: overlap, order, back-pressure; no GPU.

Busy is the share of the time from the device's first crop to its last. Cut, pasted and written is for real. The device
takes so many times as long for a picture as the processor does to read and write it.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from flows.job import Job
from flows.run import run
from removal.checkpoints.presets import Checkpoint, Choice
from removal.crops.crop import Crop
from removal.crops.remover import CropRemover
from tests.benchmarks.bench.photos import write_photos

CHOICE = Choice("simulated", Checkpoint(""), "inpainting", "asked for")
BATCH, SIDE = 8, 512


class Device:
    """Paints in the shape of a painter: takes `seconds` for each crop, and no processor."""

    resolution, steps, strength = SIDE, 20, 1.0

    def __init__(self, seconds: float):
        self.seconds, self.calls = seconds, list[tuple[float, float, int]]()

    def __call__(self, crops: list[Crop], seeds: list[int]) -> list[np.ndarray]:
        began = time.monotonic()
        time.sleep(self.seconds * len(crops))
        self.calls.append((began, time.monotonic(), len(crops)))
        return [crop.image for crop in crops]

    @property
    def crops(self) -> int:
        return sum(count for *_, count in self.calls)

    @property
    def busy(self) -> float:
        return sum(ended - began for began, ended, _ in self.calls)

    @property
    def share(self) -> float:
        return self.busy / (self.calls[-1][1] - self.calls[0][0])


def measure(quick: bool) -> Iterator[tuple]:
    count = 64 if quick else 256
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_photos(folder, count, 1)
        cost = _processor_time(folder, 16)
        note = f"{1000 * cost:.0f} ms of processor a picture of 1 megapixel"
        for proportion in (1, 2) if quick else (1, 2, 4):
            device, _ = timed(folder, proportion * cost, 64)
            target = "≥ 0.92" if proportion > 1 else ""
            yield f"busy, 64 pictures, device {proportion} : 1 processor", device.share, "", target, note
        if not quick:
            device, _ = timed(folder, 2 * cost, count)
            yield f"busy, steady over {count} pictures, 2 : 1", device.share, "", "≥ 0.97", note
        yield from _launched(folder, 32 if quick else 64)
    yield from _large_beside_small()
    yield from _with_prefect(64 if quick else 512)


def timed(
    folder: Path, seconds: float, limit: int = 0, work: Callable[..., Any] = run, device: Device | None = None
) -> tuple[Device, float]:
    """A run on a device that takes `seconds` a crop (or on another `device`), and how long it took."""
    device = device or Device(seconds)
    with simulated(device), tempfile.TemporaryDirectory() as target:
        places = {"source": str(folder / "images"), "masks": str(folder / "masks"), "target": target}
        job, began = Job(**places, model="bundled", limit=limit), time.monotonic()
        work(job)
        return device, time.monotonic() - began


@contextmanager
def simulated(device: Device) -> Iterator[None]:
    remover = CropRemover(CHOICE, device, 2.0, BATCH)  # type: ignore[arg-type]
    with patch("flows.steps.remove_masked.load_remover", lambda *_, **__: remover):
        yield


def _processor_time(folder: Path, count: int) -> float:
    began = time.process_time()
    timed(folder, 0.0, count)
    return (time.process_time() - began) / count


def _launched(folder: Path, count: int) -> Iterator[tuple]:
    """A device that computes as long as it is launched eagerly alone, beside as many threads as a large machine has."""
    from tests.benchmarks.bench.launching_device import EAGER, REPLAYED, LaunchingDevice, seconds_to_launch

    seconds = seconds_to_launch(EAGER) / BATCH
    for what, launches, target in (("a graph a step, as on CUDA", REPLAYED, "≥ 0.95"), ("eager", EAGER, "")):
        device = LaunchingDevice(seconds, launches)
        with patch("os.cpu_count", return_value=16):
            timed(folder, 0, count, device=device)
        slower = sum(device.launched) / len(device.launched) / seconds_to_launch(launches)
        note = f"{launches} launches a step, which take {slower:.2f} times as long as alone"
        yield f"busy with its batches, interpreter held, {what}", device.share, "", target, note


def _large_beside_small() -> Iterator[tuple]:
    """What the model does for a photo does not grow with it: one crop, of the checkpoint's own size."""
    took = {}
    for megapixels in (1, 12):
        with tempfile.TemporaryDirectory() as made:
            write_photos(Path(made), 2, megapixels)
            device, _ = timed(Path(made), 0.05)
            took[megapixels] = device.busy
    yield "model time of 12 megapixels beside 1", took[12] / took[1], "times", "≤ 1.3"


def _with_prefect(count: int) -> Iterator[tuple]:
    """What tracking adds to a run: the same pictures as the flow and without it, on a server that is up already."""
    from prefect.testing.utilities import prefect_test_harness

    from flows.remove_objects import remove_objects

    def as_flow(job: Job) -> None:
        given = {name: getattr(job, name) for name in ("source", "target", "masks", "model", "limit")}
        asyncio.run(remove_objects(**given))

    with tempfile.TemporaryDirectory() as made, prefect_test_harness():
        folder = Path(made)
        write_photos(folder, count, 0.3)
        timed(folder, 0.0, 2, as_flow)  # what a first flow run costs once is not counted
        _, alone = timed(folder, 0.1, 0)
        _, tracked = timed(folder, 0.1, 0, as_flow)
    yield f"orchestration, {count} pictures of 0.1 s", (tracked - alone) / tracked, "of the time", "≤ 0.02"
