"""Chooses devices, precision and batch sizes, from what was asked for and what the machine has."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def devices(asked: str) -> list[str]:
    """Devices by their names in torch: those that `asked` lists; for `cuda` all GPUs; for `auto` these, or the CPU."""
    import torch

    if asked not in ("auto", "cuda"):
        return asked.split(",")
    gpus = [f"cuda:{k}" for k in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return gpus or ["cuda" if asked == "cuda" else "cpu"]


def precision(asked: str, device: str, half: str = "float16") -> torch.dtype:
    """The dtype called `asked`; for `auto` float32 on a CPU, and on a GPU bfloat16 where it has that, else `half`."""
    import torch

    if asked != "auto":
        return getattr(torch, asked)
    if torch.device(device).type == "cpu":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else getattr(torch, half)


def as_many_as_fit(pixels: dict[str, int], device: str, side: int) -> int:
    """The number of side×side pictures in a batch, given the pixels that each kind of device takes; at least 1."""
    return max(1, pixels["cuda" if device.startswith("cuda") else "cpu"] // side**2)
