"""A simulated device that holds the interpreter while it is launched, as PyTorch does; for tier 2.

On one H100 an eager step of Stable Diffusion's UNet is some 730 launches from Python of about 50 µs: as slow as they
compute, and slower where the threads that read and write want the interpreter too. A batch of 16 that takes 1.5 s alone
took up to 2.4 s in a run. A device that only sleeps does not show it.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import numpy as np

from removal.crops.crop import Crop
from tests.benchmarks.bench.simulated_device import Device

LAUNCH = 50e-6  # seconds of the interpreter
EAGER = 730  # launches a step
REPLAYED = 64  # with a graph: it, what is copied for it, and what the solver computes; counted on the real pipeline
BESIDE = 500  # a batch: the autoencoder's two halves, and what goes in and out; counted too


class LaunchingDevice(Device):
    """Takes `seconds` for each crop, and for every launch the interpreter besides.

    The time that its thread waits for a core of the processor does not count: on a machine that has one for every
    thread it would not wait. What counts is the wait for the interpreter.
    """

    def __init__(self, seconds: float, launches: int):
        super().__init__(seconds)
        self.launches = launches
        self.launched = list[float]()  # seconds that launching took, for each batch
        self._turns = turns_of(LAUNCH)

    def __call__(self, crops: list[Crop], seeds: list[int]) -> list[np.ndarray]:
        began, waited = time.monotonic(), waited_for_a_core()
        for _ in range(self.launches * self.steps + BESIDE):
            for _ in range(self._turns):
                pass
        took = time.monotonic() - began - (waited_for_a_core() - waited)
        time.sleep(max(0.0, self.seconds * len(crops) - took))
        self.launched.append(took)
        self.calls.append((began, time.monotonic(), len(crops)))
        return [crop.image for crop in crops]

    @property
    def share(self) -> float:
        """The device's share of the time of its batches: they take as long as launching where that takes longer."""
        computing = [self.seconds * count for *_, count in self.calls]
        return busy(computing, self.launched)


def busy(computing: list[float], launching: list[float]) -> float:
    """How busy batches keep a device, by the seconds that each takes to compute and to launch, side by side."""
    return sum(computing) / sum(max(pair) for pair in zip(computing, launching, strict=True))


def seconds_to_launch(launches: int) -> float:
    """Seconds to launch a batch with nobody else at the interpreter."""
    return (launches * LaunchingDevice.steps + BESIDE) * LAUNCH


def turns_of(seconds: float) -> int:
    """How often an empty loop turns in that time of a core."""
    best = float("inf")
    for _ in range(20):
        began = time.thread_time()
        for _ in range(100_000):
            pass
        best = min(best, time.thread_time() - began)
    return round(seconds / best * 100_000)


def waited_for_a_core() -> float:
    """Seconds that this thread has been ready to run while other threads had the cores; 0 where Linux does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) * 1e-9
    return 0.0
