"""Ctrl-C: once, what is in work is finished and nothing more begun; twice, the run stops at once. So does SIGTERM."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

Due = TypeVar("Due")

_ASKED = threading.Event()  # signals belong to a process, and so does this
_STOP = threading.Event()


class Terminated(KeyboardInterrupt):
    """SIGTERM came, as from a system that shuts down and waits for seconds only."""


@contextmanager
def terminable() -> Iterator[None]:
    """While this lasts, SIGTERM raises Terminated where the main thread is: what is written is whole, the rest is not.

    Where somebody else heeds SIGTERM it changes nothing.
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
    """While this lasts, the first Ctrl-C only asks `until_interrupted` to end; the second is Python's own.

    Where Ctrl-C is ignored, as behind `nohup`, and in other threads than the main one it changes nothing.
    """
    default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not default or threading.current_thread() is not threading.main_thread():
        yield
        return

    def first(*_: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _ASKED.set()
        # A thread, since the signal may have come while this one was writing to the terminal.
        threading.Thread(target=say, args=("finishing the batch; again to stop at once",)).start()

    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _ASKED.clear()


def interrupted() -> bool:
    """Whether somebody asked to stop."""
    return _ASKED.is_set()


@contextmanager
def stoppable() -> Iterator[None]:
    """Within it `request_stop` holds."""
    try:
        yield
    finally:
        _STOP.clear()


def request_stop() -> None:
    """What is in work is finished and nothing more begun, for another reason than a signal."""
    _STOP.set()


def stop_requested() -> bool:
    """Whether nothing more is to be begun."""
    return interrupted() or _STOP.is_set()


def until_interrupted(due: Iterable[Due]) -> Iterator[Due]:
    """Everything in `due`, or what of it came before nothing more was to be begun."""
    for one in due:
        if stop_requested():
            return
        yield one
