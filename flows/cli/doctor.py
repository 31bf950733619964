"""Checks the machine for everything that a run needs, and names a fix for each problem."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from flows.cli.symptoms import FITTING, OPENCV_FIX, PIP, fix_of
from flows.job import Job
from flows.places.file_system import try_out
from flows.settings.paths import local_path
from flows.steps.loading import quiet_libraries

LITTLE = 4e9  # bytes of GPU memory; less is too little for Stable Diffusion 1.5 in half precision
Check = tuple[str, Callable[[], str], str]


class NotHere(Exception):
    """Something is missing without being a fault of the machine; the message says what, and how to get it."""


def examine(target: Path) -> Iterator[tuple[str, bool | None, str]]:
    """(name, ok, message) for everything that a run into `target` needs; ok is None for something merely missing."""
    quiet_libraries()
    for name, check, fix in (*CHECKS, *checks_of(target)):
        try:
            yield name, True, check()
        except NotHere as error:
            yield name, None, str(error)
        except Exception as error:
            message = " ".join(str(error).split()) or type(error).__name__
            yield name, False, f"{message[:160]}. {fix_of(message) or fix}"


def opencv() -> str:
    """OpenCV's version. Its wheel needs system libraries that slim images lack."""
    return str(importlib.import_module("cv2").__version__)


def _python() -> str:
    return sys.version.split()[0]


def jpeg() -> str:
    """The path of the libjpeg-turbo that keeps a JPEG's coefficients, tested on a picture."""
    import numpy as np

    from flows.formats.encoding import changed, encode_image  # imported here, since OpenCV may be broken
    from flows.formats.jpeg_workers import library
    from flows.formats.pictures import decode

    picture = decode(encode_image(np.zeros((16, 16, 3), np.uint8), "JPEG"))
    if objection := changed(picture, 255 - picture.image)[1]:
        raise RuntimeError(f"JPEG is {objection}")
    return f"JPEG coefficients by {library()}"


def _torch() -> str:
    import torch

    torch.zeros(1).numpy()
    return torch.__version__


def _device() -> str:
    import torch

    if not torch.cuda.is_available():
        if gpu_is_there():
            kind = f"is for CUDA {torch.version.cuda}" if torch.version.cuda else "is for the CPU alone"
            raise RuntimeError(f"there is an NVIDIA GPU, and torch {torch.__version__}, which {kind}, does not use it")
        return "no GPU; on the CPU full-size models take minutes a picture"
    found = [torch.cuda.get_device_properties(k) for k in range(torch.cuda.device_count())]
    small = [gpu for gpu in found if gpu.total_memory < LITTLE]
    if small:
        raise RuntimeError(
            f"{small[0].name} has {small[0].total_memory / 1e9:.1f} GB, too little for a full-size model"
        )
    return ", ".join(f"{gpu.name}, {gpu.total_memory / 1e9:.0f} GB" for gpu in found)


def gpu_is_there() -> bool:
    """True if the machine has an NVIDIA GPU, according to its driver rather than torch."""
    return Path("/proc/driver/nvidia/version").exists() or Path("/dev/nvidia0").exists()


def _torchvision() -> str:
    import torch
    import torchvision

    torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    return torchvision.__version__


def _server() -> str:
    import prefect

    importlib.import_module("prefect.server.api.server")
    return f"Prefect {prefect.__version__}"


def _schedules() -> str:
    import sqlalchemy

    if tuple(int(part) for part in sqlalchemy.__version__.split(".")[:2]) >= (2, 1):
        raise RuntimeError(f"SQLAlchemy {sqlalchemy.__version__}: Prefect's schedules never create a run")
    return f"SQLAlchemy {sqlalchemy.__version__}"


def _cache() -> str:
    from huggingface_hub.constants import HF_HUB_CACHE

    place = Path(HF_HUB_CACHE)
    first = there(place)
    if not os.access(first, os.W_OK):
        raise RuntimeError(f"{first} cannot be written")
    return f"{place}, {_free(first):.0f} GB free there"


def _hub() -> str:
    from huggingface_hub import get_token
    from huggingface_hub.constants import HF_HUB_OFFLINE

    if HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set: only weights that were fetched before can be used"
    return "a token" if get_token() else "no token, which gated weights alone need: hf auth login"


def _weights() -> str:
    from flows.steps.needed_weights import in_bytes, missing, pull_of, why_unreachable

    job = Job(text=["person"])
    lacking = missing(job)
    if not lacking:
        return f"all of what {job.model} needs is here"
    reason = why_unreachable(lacking)
    how = f"they cannot be fetched now: {reason}" if reason else "they are fetched by the first run that needs them"
    raise NotHere(
        f"{in_bytes(sum(one.size or 0 for one in lacking))} of {job.model} missing: {'; '.join(map(str, lacking))}. "
        f"{how[0].upper()}{how[1:]}; `{pull_of(job)}` fetches them where there is a connection"
    )


def _bundled() -> str:
    from masks import load_segmenter
    from removal import load_remover

    load_segmenter("bundled", device="cpu")
    load_remover("bundled", device="cpu")
    return "load"


def checks_of(target: Path) -> list[Check]:
    """The checks of a target's place."""
    place = there(local_path(target).absolute())
    return [
        ("disk", partial(_disk, place), "Free some space, or choose another target."),
        ("target's file system", partial(_files, place), "Choose a target on a local disk."),
    ]


def _disk(place: Path) -> str:
    free = _free(place)
    if free < 1:
        raise RuntimeError(f"{free:.1f} GB free at {place}")
    return f"{free:.0f} GB free at {place}"


def _files(place: Path) -> str:
    try_out(place)
    return "files appear whole, locks hold"


def _free(place: Path) -> float:
    return shutil.disk_usage(place).free / 1e9


def there(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(place for place in (path, *path.parents) if place.is_dir())


CHECKS: list[Check] = [
    ("Python", _python, "Install Python 3.11 or newer."),
    ("OpenCV", opencv, f"OpenCV needs system libraries: {OPENCV_FIX}."),
    ("libjpeg-turbo", jpeg, f"{PIP} install --force-reinstall pillow, whose wheels bring it"),
    ("torch", _torch, f"{PIP} install torch torchvision"),
    ("device", _device, f"See what nvidia-smi says, and {FITTING}. With --device cpu it goes on without the GPU."),
    ("torchvision's operators", _torchvision, f"torch and torchvision do not fit: {FITTING}"),
    ("Prefect's server", _server, f"{PIP} install 'fastapi<0.151'"),
    ("Prefect's schedules", _schedules, f"{PIP} install 'sqlalchemy<2.1'"),
    ("hub cache", _cache, "Set HF_HOME to a folder that can be written."),
    ("hub", _hub, "hf auth login"),
    ("weights", _weights, "cleanplate models pull sd15"),
    ("bundled checkpoints", _bundled, "Install Cleanplate again: its weights are missing or broken."),
]
