"""Weights are loaded one after the other in a process, segmenters and checkpoints alike, and silently.

While one thread is in `from_pretrained`, the libraries build every network of the process without memory, and of two
that load together one may stay that way (diffusers #4296). Single files are loaded under a patched torch besides.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

LOADING = threading.RLock()  # re-entrant


def pretrained(kind: Any, folder: Path, **options: Any) -> Any:
    """An instance of a diffusers or transformers class, loaded from a folder on this machine. Nothing is fetched."""
    with loading():
        return kind.from_pretrained(folder, local_files_only=True, **options)


@contextmanager
def loading() -> Iterator[None]:
    """A block for building a network: alone in this process, with the libraries' bars and advice kept off stderr.

    Afterwards they are as before. Bars that HF_HUB_DISABLE_PROGRESS_BARS=0 asks for stay.
    """
    from huggingface_hub import constants

    with LOADING:
        if constants.HF_HUB_DISABLE_PROGRESS_BARS is False:
            yield
        else:
            with _quiet():
                yield


@contextmanager
def _quiet() -> Iterator[None]:
    from huggingface_hub import utils as hub

    shown, level = not hub.are_progress_bars_disabled(), hub.logging.get_verbosity()
    before = {log: (log.is_progress_bar_enabled(), log.get_verbosity()) for log in _imported()}
    hub.logging.set_verbosity_error()
    hub.disable_progress_bars()  # transformers, if it is imported only now, shows none either
    for log in before:
        log.disable_progress_bar()
        log.set_verbosity_error()
    try:
        yield
    finally:
        for log in _imported():
            bars, verbosity = before.get(log, (shown, log.get_verbosity()))
            log.set_verbosity(verbosity)
            if bars:
                log.enable_progress_bar()
        hub.logging.set_verbosity(level)
        if shown:
            hub.enable_progress_bars()


def _imported() -> list[ModuleType]:
    """The logging modules of the libraries that are imported so far."""
    names = (f"{library}.utils.logging" for library in ("transformers", "diffusers"))
    return [sys.modules[name] for name in names if name in sys.modules]
