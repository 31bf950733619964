"""Fills masked pixels: images and masks in, images out. Knows nothing of files, Prefect or segmentation.

The names below are imported on first use, so that importing one room of this package, such as `removal.weights`, does
not run the rest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from removal.checkpoints.presets import PRESETS, Checkpoint, Choice
    from removal.choice import choose
    from removal.methods.table import METHODS
    from removal.options import Options
    from removal.removers import Remover, load_remover

__all__ = ["METHODS", "PRESETS", "Checkpoint", "Choice", "Options", "Remover", "choose", "load_remover"]

PLACES = {
    "METHODS": "methods.table",
    "PRESETS": "checkpoints.presets",
    "Checkpoint": "checkpoints.presets",
    "Choice": "checkpoints.presets",
    "Options": "options",
    "Remover": "removers",
    "choose": "choice",
    "load_remover": "removers",
}


def __getattr__(name: str) -> Any:
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{PLACES[name]}"), name)
