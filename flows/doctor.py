"""Looks over the machine: what a run needs, and for each thing that is wrong its fix."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from flows.weights import quiet_libraries

OPENCV_FIX = (
    "apt-get install -y libgl1 libglib2.0-0 (libglib2.0-0t64 on newer systems), "
    "or pip uninstall -y opencv-python && pip install opencv-python-headless"
)


def examine() -> Iterator[tuple[str, bool, str]]:
    """(what, whether it is well, words) for everything a run needs."""
    quiet_libraries()
    for name, check, fix in CHECKS:
        try:
            yield name, True, check()
        except Exception as error:
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            yield name, False, f"{reason}. {fix}"


def opencv() -> str:
    """OpenCV's version. Its wheel needs system libraries that slim images lack."""
    return str(importlib.import_module("cv2").__version__)


def _python() -> str:
    return sys.version.split()[0]


def _torch() -> str:
    import torch

    return torch.__version__


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return ", ".join(torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count()))
    return "no GPU; on the CPU full-size models take minutes a picture"


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
    from huggingface_hub.constants import HF_HUB_CACHE, HF_HUB_OFFLINE

    place = Path(HF_HUB_CACHE)
    first = next(parent for parent in (place, *place.parents) if parent.exists())
    if not os.access(first, os.W_OK):
        raise RuntimeError(f"{first} cannot be written")
    return f"{place}" + (" (offline)" if HF_HUB_OFFLINE else "")


def _disk() -> str:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    if free < 1:
        raise RuntimeError(f"{free:.1f} GB free here")
    return f"{free:.0f} GB free here"


def _bundled() -> str:
    from masks import load_segmenter
    from removal import load_remover

    load_segmenter("bundled", device="cpu")
    load_remover("bundled", device="cpu")
    return "load"


CHECKS: list[tuple[str, Callable[[], str], str]] = [
    ("Python", _python, "Install Python 3.11 or newer."),
    ("OpenCV", opencv, f"OpenCV needs system libraries: {OPENCV_FIX}."),
    ("torch", _torch, "pip install torch torchvision"),
    ("device", _device, "Check the GPU's driver with nvidia-smi."),
    (
        "torchvision's operators",
        _torchvision,
        "torch and torchvision do not fit: pip install --upgrade torch torchvision",
    ),
    ("Prefect's server", _server, "pip install 'fastapi<0.151'"),
    ("Prefect's schedules", _schedules, "pip install 'sqlalchemy<2.1'"),
    ("hub cache", _cache, "Set HF_HOME to a folder that can be written."),
    ("disk", _disk, "Free some space."),
    ("bundled checkpoints", _bundled, "Install Cleanplate again: its weights are missing or broken."),
]
