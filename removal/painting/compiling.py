"""Compiled networks: chosen, compiled while a painter is loaded, and left out where compiling fails.

Measured on one H100 (SD 1.5, 512², batches of 16): the UNet takes 2.19 ms a row compiled with weights channels last,
3.24 eager in PyTorch's own order and 3.54 or more eager with channels last, the decoder 8.3 ms a picture instead of
15.0. From these parts a picture of 20 steps is estimated at 57 ms instead of 86 to 140; compiling took 80 s: it pays
from 1,000 to 2,800 pictures on (`REPAID`), and at once where an earlier process left its results on disk.
"""

from __future__ import annotations

import hashlib
import math
import os
import stat
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from removal.crops.crop import Crop
from removal.painting.offloading import offloaded, working_device
from removal.painting.painter import Painter
from removal.weights.batches import Batches
from removal.weights.cache import NoHome, cache_folder

if TYPE_CHECKING:
    from removal.options import Options


def compiled(paint: Painter, batch: int, options: Options) -> tuple[Painter, int, str]:
    """A painter with compiled networks where that is asked for, the batch size that fits, and why it has none.

    With `compile` on `auto` it is compiled on a GPU, and only where an earlier process has left its results on disk; on
    a CPU nothing is compiled unasked. One batch is painted, so that a failure shows here: the painter then goes on
    uncompiled, with a warning. The reason is empty unless compiling failed.
    """
    device, unasked = working_device(paint.pipeline.unet).type, options.compile == "auto"
    if not wanted(options.compile, device):
        return paint, batch, ""
    if offloaded(paint.pipeline.unet):
        return paint, batch, "" if unasked else _warned("its weights leave the device (--offload)")
    if not paint.steady:
        return paint, batch, ""
    try:
        folder = _own_folder(cache_folder("compiled") / f"torch-{torch.__version__}")
    except (OSError, NoHome) as error:
        return paint, batch, "" if unasked else _warned(str(error))
    warm = folder / f"{_key(paint, batch, options)}.warm"
    if not wanted(options.compile, device, warm.exists()):
        return paint, batch, ""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)  # its own place is below /tmp
    try:
        for network in _networks(paint):
            network.to(memory_format=order_on(network_device(network), compiled=True))
            network.compile(dynamic=False)
        fits = _painted_once(paint, batch)
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # of the compiler's many kinds: no C compiler, no headers, an operation it lacks
        _undo(paint)
        return paint, batch, _warned(str(error) or type(error).__name__)
    warm.touch()
    return replace(paint, compiled=True), fits, ""


def wanted(asked: str, device: str, warm: bool = True) -> bool:
    """True to compile on a kind of device, with `asked` auto, on or off, and with or without results of an earlier
    process. Raises ValueError for any other value.
    """
    if asked not in ("auto", "on", "off"):
        raise ValueError(f"compile is auto, on or off, not {asked!r}")
    return asked == "on" or (asked == "auto" and device == "cuda" and warm)


def order_on(device: torch.device, compiled: bool) -> torch.memory_format:
    """The memory format of convolutions' weights: channels last on CUDA when compiled, else PyTorch's own.

    Eager, PyTorch's GroupNorm turns every activation round and the next convolution turns it back (figures above).
    """
    return torch.channels_last if compiled and device.type == "cuda" else torch.contiguous_format


def network_device(network: torch.nn.Module) -> torch.device:
    return next(network.parameters()).device


def _networks(paint: Painter) -> Iterator[torch.nn.Module]:
    """The networks to compile. The autoencoder's methods call its two halves, and only calls are compiled."""
    pipeline = getattr(paint.pipeline, "pipeline", paint.pipeline)
    yield pipeline.unet
    yield pipeline.vae.encoder
    yield pipeline.vae.decoder
    if hasattr(pipeline, "controlnet"):
        yield pipeline.controlnet


def _painted_once(paint: Painter, batch: int) -> int:
    """Paint one whole batch, as every later one is; returns how many crops it held."""
    side = paint.resolution
    mask = np.zeros((side, side), bool)
    mask[side // 4 : side // 2, side // 4 : side // 2] = True
    crop = Crop(np.full((side, side, 3), 127, np.uint8), mask, 0, 0, side)
    few = replace(paint, steps=max(2, math.ceil(1 / paint.strength)))
    batches = Batches(batch, whole=True)
    list(batches(lambda crops: few(crops, [0] * len(crops)), [crop]))
    return batches.size


def _undo(paint: Painter) -> None:
    for network in _networks(paint):
        network._compiled_call_impl = None
        network.to(memory_format=order_on(network_device(network), compiled=False))


def _warned(reason: str) -> str:
    """The reason in a line, once it is said."""
    line = next((line.strip() for line in reason.splitlines() if line.strip()), "unknown reason")
    warnings.warn(f"the model is not compiled and works slower: {line}", stacklevel=2)
    return f"not compiled: {line}"


def _key(paint: Painter, batch: int, options: Options) -> str:
    """The key of compiled code: torch, the device, the checkpoint, the precision, and the shapes."""
    unet, device = paint.pipeline.unet, paint.pipeline.unet.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    networks = [f"{type(one).__name__} {sum(p.numel() for p in one.parameters())}" for one in _networks(paint)]
    depends = [torch.__version__, torch.version.cuda, name, unet.config.get("_name_or_path"), *networks,
               unet.dtype, paint.pipeline.vae.dtype, batch, paint.resolution, paint.guidance > 1, paint.strength < 1,
               options.method, options.vae]  # fmt: skip
    return hashlib.sha256(repr(depends).encode()).hexdigest()[:24]


def _own_folder(folder: Path) -> Path:
    """A folder that only its owner can read and write: its contents are run. Raises OSError for another user's."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or (hasattr(os, "geteuid") and about.st_uid != os.geteuid()):
        raise OSError(f"{folder} belongs to another user and may hold code of theirs; set CLEANPLATE_CACHE")
    folder.chmod(0o700)
    return folder
