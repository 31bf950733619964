"""Ends a process in which a model call hangs: in Python, nothing else can end native code.

The pictures in progress are named on stderr and noted in the journal; the same command continues, takes these one at a
time, and sets one aside if it hangs again. A call that hangs without letting other threads run is out of reach.
"""

from __future__ import annotations

import faulthandler
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOKS_EVERY = 5.0  # seconds
PATIENCE = 30.0  # seconds for `last_words`, which may hang too
_deadline = 0.0  # one per process, for all its threads
_longest = 0.0  # the longest time allowed so far, in seconds
_seconds = 0.0
_paused = 0
_lock = threading.Lock()


@contextmanager
def watched(seconds: float, last_words: Callable[[], str]) -> Iterator[None]:
    """Within this block, the process exits with 3 when a call takes more than `seconds` a picture; 0: never.

    `last_words` notes what hangs, and reports it.
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
    """Allow the time of so many pictures from now on; a later deadline stays."""
    global _deadline, _longest
    with _lock:
        seconds = _seconds * max(1, pictures)
        _longest = max(_longest, seconds)
        _deadline = max(_deadline, time.monotonic() + seconds)


@contextmanager
def paused() -> Iterator[None]:
    """A block that may take any time, such as fetching weights; the deadline is suspended in it."""
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
    """Extend the deadline after waking so many seconds late: the process was stopped (Ctrl-Z, `docker pause`, a
    suspended machine), or a call let no other thread run. That time does not count.
    """
    global _deadline
    with _lock:
        _deadline = max(_deadline, min(_deadline + late, woke + _longest))


def _end(last_words: Callable[[], str]) -> None:
    try:
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        faulthandler.dump_traceback(all_threads=True)
        os.write(2, f"{last_words()}\n".encode(errors="backslashreplace"))
    finally:  # stderr may be closed
        os._exit(3)
