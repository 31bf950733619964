"""Loads weights without the libraries' own noise, and tells missing weights from a picture's trouble."""

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
    """Silence the libraries' progress bars and remarks. Call it before importing them: they read this only then."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def load(loader: Callable[[], Loaded]) -> Loaded:
    """Load weights with `loader`. Raises EnvironmentFault for missing weights, which are not a picture's fault."""
    quiet_libraries()
    try:
        with paused():  # weights may be fetched first
            return loader()
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise EnvironmentFault(f"the models cannot be loaded: {error}") from error
