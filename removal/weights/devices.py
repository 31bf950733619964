"""Chooses devices, precision and batch sizes, from what was asked for and what the machine has."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# What `dtype auto` is, by network and device ("old cuda": a GPU without bfloat16), with the evidence. PSNR is that of
# the bundled checkpoint in the holes of unseen scenes, with the same noise on a CPU unless said otherwise.
PRECISIONS = {
    ("unet", "cpu"): "float32",  # 35.80 dB
    ("unet", "cuda"): "bfloat16",  # 35.81 dB with the autoencoder in float32; one H100
    ("unet", "old cuda"): "float16",  # 35.83 dB; no such GPU was measured
    ("encoder", "cpu"): "float32",
    ("encoder", "cuda"): "bfloat16",  # one H100: masks agree with the CPU's, IoU at least 0.998
    ("encoder", "old cuda"): "float32",  # SAM's overflows in float16
}


SMALL = 12e9  # bytes of a device's memory, below which idle weights leave it
REPAID = 1000  # pictures from which on compiling pays on a GPU: removal.painting.compiling has the figures


def devices(asked: str) -> list[str]:
    """Devices by their names in torch: those that `asked` lists; for `cuda` all GPUs; for `auto` these, or the CPU."""
    import torch

    if asked not in ("auto", "cuda"):
        return asked.split(",")
    gpus = [f"cuda:{k}" for k in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return gpus or ["cuda" if asked == "cuda" else "cpu"]


def precision(asked: str, device: str, network: str = "unet") -> torch.dtype:
    """The dtype called `asked`; for `auto` that of the table, and float32 on a device that it does not know."""
    import torch

    if asked != "auto":
        return getattr(torch, asked)
    kind = torch.device(device).type
    if kind == "cuda" and not torch.cuda.is_bf16_supported():
        kind = "old cuda"
    return getattr(torch, PRECISIONS.get((network, kind), "float32"))


def autoencoder_precision(unet: torch.dtype, device: str, overflows: bool) -> torch.dtype:
    """The dtype of the autoencoder beside a UNet in `unet`: never bfloat16, in which it costs 0.3 dB.

    Near 1 the values of bfloat16 are a whole level apart. Float16 on a GPU, where its values cannot overflow there;
    else float32 (measured on a CPU: 35.49 dB in bfloat16, 35.81 in float32; the networks of `PRECISIONS`).
    """
    import torch

    on_gpu = torch.device(device).type == "cuda"
    return torch.float16 if on_gpu and unet != torch.float32 and not overflows else torch.float32


def weights_leave(asked: str, device: str) -> bool:
    """True if idle weights leave a device, with `asked` auto, on or off: on auto they leave small devices.

    Raises ValueError for any other value.
    """
    if asked not in ("auto", "on", "off"):
        raise ValueError(f"offload is auto, on or off, not {asked!r}")
    return asked == "on" or (asked == "auto" and memory_of(device) < SMALL)


def memory_of(device: str) -> float:
    """Bytes of memory that a device has of its own; infinity for one that shares the processor's."""
    import torch

    if torch.device(device).type != "cuda":
        return float("inf")
    return torch.cuda.get_device_properties(device).total_memory


def as_many_as_fit(pixels: dict[str, int], device: str, side: int) -> int:
    """The number of side×side pictures in a batch, given the pixels that each kind of device takes; at least 1."""
    return max(1, pixels["cuda" if device.startswith("cuda") else "cpu"] // side**2)
