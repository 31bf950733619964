"""Ends a process in which a model call hangs: in Python nothing else can end native code.

What hung is said on stderr and noted in the journal; the same command goes on, with what was in work alone, and sets it
aside should it hang again. A call that hangs without letting other threads run is beyond this.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 30.0  # seconds for the last words, which may hang too
_deadline = 0.0  # a process has one, for all that is at work in it
_seconds = 0.0
_at_leisure = 0
_lock = threading.Lock()


@contextmanager
def watched(seconds: float, last_words: Callable[[], str]) -> Iterator[None]:
    """While this lasts, the process ends with 3 when something takes more than `seconds` a picture; 0 is for ever.

    `last_words` notes what hangs, and says it.
    """
    global _seconds, _deadline
    if not seconds:
        yield
        return
    through = threading.Event()
    _seconds, _deadline = seconds, 0.0
    expect(1)
    threading.Thread(target=_watch, args=(through, last_words), daemon=True).start()
    try:
        yield
    finally:
        through.set()


def expect(pictures: int) -> None:
    """Something begins that may take as long as so many pictures do. What others expected for longer still may, too."""
    global _deadline
    with _lock:
        _deadline = max(_deadline, time.monotonic() + _seconds * max(1, pictures))


@contextmanager
def at_leisure() -> Iterator[None]:
    """What may take any time, such as fetching weights."""
    global _at_leisure
    with _lock:
        _at_leisure += 1
    try:
        yield
    finally:
        expect(1)
        with _lock:
            _at_leisure -= 1


def _watch(through: threading.Event, last_words: Callable[[], str]) -> None:
    while not through.wait(min(5.0, max(0.01, _deadline - time.monotonic()))):
        if time.monotonic() > _deadline and not _at_leisure:
            faulthandler.dump_traceback_later(PATIENCE, exit=True)
            faulthandler.dump_traceback(all_threads=True)
            print(last_words(), file=sys.stderr, flush=True)
            os._exit(3)
