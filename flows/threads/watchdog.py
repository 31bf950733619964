"""Ends a process in which a model call hangs: in Python nothing else can end native code.

What hung is said on stderr and noted in the journal; the same command goes on, with what was in progress alone, and
sets it aside should it hang again. A call that hangs without letting other threads run is beyond this.
"""

from __future__ import annotations

import faulthandler
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOKS_EVERY = 5.0  # seconds
PATIENCE = 30.0  # seconds for the last words, which may hang too
_deadline = 0.0  # a process has one, for all that is at work in it
_longest = 0.0  # seconds that anything was expected to take so far
_seconds = 0.0
_paused = 0
_lock = threading.Lock()


@contextmanager
def watched(seconds: float, last_words: Callable[[], str]) -> Iterator[None]:
    """Within this block, the process ends with 3 when something takes more than `seconds` a picture; 0 is for ever.

    `last_words` notes what hangs, and says it.
    """
    global _seconds, _deadline, _longest
    if not seconds:
        yield
        return
    through = threading.Event()
    _seconds, _deadline, _longest = seconds, 0.0, 0.0
    extend_deadline(1)
    threading.Thread(target=_watch, args=(through, last_words), daemon=True).start()
    try:
        yield
    finally:
        through.set()


def extend_deadline(pictures: int) -> None:
    """Allow as much time from now as so many pictures take; a later deadline that is already set stays."""
    global _deadline, _longest
    with _lock:
        seconds = _seconds * max(1, pictures)
        _longest = max(_longest, seconds)
        _deadline = max(_deadline, time.monotonic() + seconds)


@contextmanager
def paused() -> Iterator[None]:
    """A block that may take any time, such as fetching weights; the deadline does not count within it."""
    global _paused
    with _lock:
        _paused += 1
    try:
        yield
    finally:
        extend_deadline(1)
        with _lock:
            _paused -= 1


def _watch(through: threading.Event, last_words: Callable[[], str]) -> None:
    while True:
        began = time.monotonic()
        asked = min(LOOKS_EVERY, max(0.01, _deadline - began))
        if through.wait(asked):
            return
        woke = time.monotonic()
        _excuse(woke - began - asked, woke)
        if woke > _deadline and not _paused:
            _end(last_words)


def _excuse(late: float, woke: float) -> None:
    """Whoever wakes so many seconds later than asked was stopped (Ctrl-Z, `docker pause`, a suspended machine), and so
    was what it watches: that time does not count. Nor does that in which a call let no other thread run.
    """
    global _deadline
    with _lock:
        _deadline = max(_deadline, min(_deadline + late, woke + _longest))


def _end(last_words: Callable[[], str]) -> None:
    try:
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        faulthandler.dump_traceback(all_threads=True)
        os.write(2, f"{last_words()}\n".encode(errors="backslashreplace"))
    finally:  # nobody may be there to listen
        os._exit(3)
