"""Ctrl-C once finishes the pictures in progress; twice stops the run at once, and so does SIGTERM."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

Due = TypeVar("Due")

_ASKED = threading.Event()  # global, since signals belong to a process
_STOP = threading.Event()


class Terminated(KeyboardInterrupt):
    """SIGTERM came, as from a system that shuts down and waits only seconds."""


@contextmanager
def terminable() -> Iterator[None]:
    """Within this block, SIGTERM raises Terminated in the main thread; every file written so far is complete.

    Changes nothing if SIGTERM already has another handler.
    """
    default = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not default or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def graceful_sigint(say: Callable[[str], None]) -> Iterator[None]:
    """Within this block, the first Ctrl-C only asks `until_interrupted` to end; the second raises KeyboardInterrupt.

    Changes nothing if Ctrl-C is ignored, as under `nohup`, and outside the main thread.
    """
    default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not default or threading.current_thread() is not threading.main_thread():
        yield
        return

    def first(*_: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _ASKED.set()
        # In a thread, since the signal may have come while this one was writing to the terminal.
        threading.Thread(target=say, args=("finishing the batch; again to stop at once",)).start()

    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _ASKED.clear()


def interrupted() -> bool:
    """True if somebody asked to stop."""
    return _ASKED.is_set()


@contextmanager
def stoppable() -> Iterator[None]:
    """A block within which `request_stop` counts; leaving it clears the request."""
    try:
        yield
    finally:
        _STOP.clear()


def request_stop() -> None:
    """Finish the pictures in progress and begin no more, for a reason other than a signal."""
    _STOP.set()


def stop_requested() -> bool:
    """True if nothing new should be started."""
    return interrupted() or _STOP.is_set()


def until_interrupted(due: Iterable[Due]) -> Iterator[Due]:
    """The items of `due`, until a stop is requested."""
    for one in due:
        if stop_requested():
            return
        yield one
