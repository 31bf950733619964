"""Tier 4: full-size networks with random weights on a GPU, in parts, beside what the GPU can do.

MFU is useful operations a second, counted at full size, over the peak of a matrix product in the same run. Without a
GPU the same code runs tiny networks on the CPU, whose figures say nothing of one. Each part is meant to take less
than four minutes on an H100; the tier in this form has not been run on one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

import torch

from tests.benchmarks.bench.machine import GPU, Place, matrix_peak

PARTS = {  # their files, and the models that each measures where none is asked for
    "files": ("gpu_removal", ("sd15", "sdxl", "lama", "patchmatch")),
    "painter": ("gpu_removal", ("sd15", "sdxl", "lama")),
    "unet": ("gpu_networks", ("sd15", "sdxl")),
    "vae": ("gpu_networks", ("sd15", "sdxl")),
    "compile": ("gpu_networks", ("sd15",)),
    "sam": ("gpu_finding", ("sam",)),
    "dino": ("gpu_finding", ("dino",)),
}


def measure(
    quick: bool, parts: Sequence[str] = (), models: Sequence[str] = (), compile: str = "off"
) -> Iterator[tuple]:
    """The figures of some parts (all by default), of some models (those of the part). Raises SystemExit for others."""
    if unknown := {*parts} - {*PARTS}:
        raise SystemExit(f"there is no part {min(unknown)}; there are {', '.join(PARTS)}")
    where = "" if GPU else "tiny, on the CPU: says nothing of a GPU"
    peak = matrix_peak()
    yield "matrix product, the peak of this run", peak, "TFLOP/s", "", where
    for part in parts or PARTS:
        file, usual = PARTS[part]
        for model in [one for one in models if one in usual] or usual[: 1 if quick else None]:
            if GPU:
                torch.cuda.reset_peak_memory_stats()
            with tempfile.TemporaryDirectory() as made:
                place = Place(Path(made), model, peak, quick, compile)
                for figure in getattr(import_module(f"tests.benchmarks.bench.{file}"), part)(place):
                    yield (f"{part}, {figure[0]}", *figure[1:], *("",) * (4 - len(figure)), where)[:5]
