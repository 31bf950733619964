"""Turns on a device: one batch is painted at a time, by whichever remover, and a thread knows how long it waited."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_painting = threading.Lock()  # a device has memory for one batch, and a pipeline's scheduler has a state
_waits = threading.local()


@contextmanager
def turn() -> Iterator[None]:
    """Within it nothing else is painted by this process."""
    began = time.monotonic()
    with _painting:
        _waits.seconds = waited() + time.monotonic() - began
        yield


def waited() -> float:
    """Seconds that this thread has waited for its turns, all together."""
    return getattr(_waits, "seconds", 0.0)
