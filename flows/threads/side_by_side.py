"""Runs several pieces of work at once, each in a thread; results reach the calling thread as they are made.

So the caller's own work, such as writing rows or calling a server, does not keep the model waiting.
"""

from __future__ import annotations

import contextlib
import ctypes
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")

PATIENCE = 3.0  # seconds for halted threads to end; a system that shuts down waits for ten
GLANCE = 0.5  # seconds; Halted is raised only between two calls, so no call may wait forever


class Halted(BaseException):
    """Raised in a thread that must end at once. Not an Exception, since nothing went wrong."""


@dataclass(frozen=True)
class _End:
    thread: threading.Thread
    trouble: BaseException | None


def side_by_side(
    work: Callable[[Given], Iterable[Made]], source: Iterator[Given], most: int, request_stop: Callable[[], None]
) -> Generator[tuple[Given, Made | None], None, None]:
    """Run `work` on everything in `source`, `most` at a time. Yields each item with each of its results, and with None
    at its end.

    An error of `work` or `source` is raised last: `request_stop` is called, nothing more is begun, and work in progress
    may finish. A caller that stops, or is stopped by Ctrl-C, halts the threads where they are.
    """
    crew, troubles = _Crew(work), list[BaseException]()
    begun = _until_trouble(source, troubles)
    try:
        while True:
            while not troubles and len(crew.threads) < most and (one := next(begun, None)) is not None:
                crew.begin(one)
            if troubles:
                request_stop()
            if not crew.threads:
                break
            of, made = crew.next()
            if not isinstance(made, _End):
                yield of, made
                continue
            crew.threads.remove(made.thread)
            troubles += [made.trouble] if made.trouble else []
            yield of, None
    finally:
        halt(crew.threads, PATIENCE)
    if troubles:
        raise troubles[0]


def _until_trouble(source: Iterator[Given], troubles: list[BaseException]) -> Iterator[Given]:
    try:
        yield from source
    except Exception as error:
        troubles.append(error)


class _Crew(Generic[Given, Made]):
    """The running threads and their results."""

    def __init__(self, work: Callable[[Given], Iterable[Made]]):
        self.work = work
        self.threads: set[threading.Thread] = set()
        self.made: queue.SimpleQueue[tuple[Given, Any]] = queue.SimpleQueue()

    def begin(self, one: Given) -> None:
        thread = threading.Thread(target=self._work_through, args=(one,), daemon=True)
        self.threads.add(thread)
        thread.start()

    def _work_through(self, one: Given) -> None:
        trouble = None
        try:
            for result in self.work(one):
                self.made.put((one, result))
        except BaseException as error:
            trouble = error
        self.made.put((one, _End(threading.current_thread(), trouble)))

    def next(self) -> tuple[Given, Any]:
        """The next result of any thread."""
        while True:
            with contextlib.suppress(queue.Empty):
                return self.made.get(timeout=GLANCE)


def halt(threads: set[threading.Thread], patience: float) -> None:
    """Raise Halted in threads, as Python itself does in the main thread at Ctrl-C, and wait a little for them.

    A thread that does not end by then, such as one in a hanging model, ends with the process.
    """
    for thread in threads:
        if thread.is_alive():  # the id of an ended thread may be another's by now
            ident = ctypes.c_ulong(thread.ident or 0)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(Halted))
    until = time.monotonic() + patience
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
