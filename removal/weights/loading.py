"""Weights are loaded one after the other in a process, segmenters and checkpoints alike, and by one function.

While one thread is in `from_pretrained`, the libraries build every network of the process without memory, and of two
that load together one may stay that way (diffusers #4296). Single files are loaded under a patched torch besides.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

LOADING = threading.RLock()  # held by whoever builds a network; to be taken again by the same thread is no harm


def pretrained(kind: Any, folder: Path, **options: Any) -> Any:
    """An instance of a diffusers or transformers class, loaded from a folder on this machine. Nothing is fetched."""
    with LOADING:
        return kind.from_pretrained(folder, local_files_only=True, **options)
