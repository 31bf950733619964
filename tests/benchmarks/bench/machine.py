"""What tier 4 measures on: the GPU or else the CPU, what it can do, and how its time is taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

GPU = torch.cuda.is_available()
DEVICE = "cuda" if GPU else "cpu"
DTYPE = torch.bfloat16 if GPU else torch.float32


@dataclass(frozen=True)
class Place:
    """A folder to work in, the model to measure, and the matrix product of this run in TFLOP/s."""

    folder: Path
    model: str
    peak: float
    quick: bool = False
    compile: str = "off"

    @property
    def small(self) -> bool:
        """Tiny networks stand for those of full size."""
        return not GPU


def matrix_peak() -> float:
    """TFLOP/s of a large matrix product."""
    side = 8192 if GPU else 512
    left, right = (torch.randn(side, side, device=DEVICE, dtype=DTYPE) for _ in range(2))
    return 2 * side**3 / settled(lambda: left @ right) / 1e12


def settled(work: Callable[[], Any], times: int = 10) -> float:
    """Seconds of one call, the best of several after a warm-up; without a GPU of one."""
    best = float("inf")
    for _ in range(times + 2 if GPU else 1):
        began = time.perf_counter()
        work()
        if GPU:
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return best


def memory() -> list[tuple]:
    """The figure of the GPU's memory at most since it was last asked; none without a GPU."""
    if not GPU:
        return []
    most = torch.cuda.max_memory_allocated() / 1e9
    torch.cuda.reset_peak_memory_stats()
    return [("GPU memory at most", most, "GB")]
