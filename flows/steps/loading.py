"""Loading weights: without the libraries' own noise, and with what is missing told apart from a picture's trouble."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from flows.errors import EnvironmentFault
from flows.threads.watchdog import paused

Loaded = TypeVar("Loaded")

QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "DIFFUSERS_VERBOSITY": "error",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}


def quiet_libraries() -> None:
    """Keep the libraries' bars and remarks out of ours. They read these when they are imported, so call it before."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def load(loader: Callable[[], Loaded]) -> Loaded:
    """Load weights with `loader`. What is missing there is no picture's fault: raises EnvironmentFault."""
    quiet_libraries()
    try:
        with paused():  # they may be fetched first
            return loader()
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise EnvironmentFault(f"the models cannot be loaded: {error}") from error
