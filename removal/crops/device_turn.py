"""Turns on a device: one batch is painted at a time; a thread knows how long it waited for its turns."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_painting = threading.Lock()  # a device has memory for one batch, and a pipeline's scheduler has a state
_waits = threading.local()


@contextmanager
def device_turn() -> Iterator[None]:
    """A block in which this process paints nothing else."""
    began = time.monotonic()
    with _painting:
        _waits.seconds = seconds_waited() + time.monotonic() - began
        yield


def seconds_waited() -> float:
    """The total seconds that this thread has waited for its turns."""
    return getattr(_waits, "seconds", 0.0)
