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


KINDS = ("cuda", "xpu", "mps")  # NVIDIA's and AMD's, Intel's, Apple's
AUTO = ("cuda",)  # the others by their name alone: they were not tried
SMALL = 12e9  # bytes of a device's memory, below which idle weights leave it
REPAID = 1000  # pictures from which on compiling pays on a GPU: removal.painting.compiling has the figures


def devices(asked: str) -> list[str]:
    """Devices by their names in torch: those that `asked` lists, or for a kind of `KINDS` all of that kind.

    `auto` is all of the first kind of `AUTO` that is here, else the CPU. A kind that is not here keeps its name.
    """
    if asked not in ("auto", *KINDS):
        return asked.split(",")
    for kind in AUTO if asked == "auto" else (asked,):
        if found := _present(kind):
            return found
    return ["cpu" if asked == "auto" else asked]


def _present(kind: str) -> list[str]:
    """The devices of a kind that this machine has, by their names in torch."""
    import torch

    if kind == "mps":
        return ["mps"] if torch.backends.mps.is_available() else []
    there = getattr(torch, kind)
    return [f"{kind}:{number}" for number in range(there.device_count())] if there.is_available() else []


def release_memory() -> None:
    """Give back what torch keeps of the devices' memory without using it."""
    import torch

    for kind in KINDS:
        if _present(kind):
            getattr(torch, kind).empty_cache()


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

    kind = torch.device(device).type
    if kind not in ("cuda", "xpu"):
        return float("inf")
    return getattr(torch, kind).get_device_properties(device).total_memory


def as_many_as_fit(pixels: dict[str, int], device: str, side: int) -> int:
    """The number of side×side pictures in a batch, given the pixels that each kind of device takes; at least 1."""
    return max(1, pixels.get(device.split(":")[0], pixels["cpu"]) // side**2)
