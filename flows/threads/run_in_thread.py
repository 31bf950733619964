"""Runs blocking work in a thread, so that the event loop stays free and the work can be cancelled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import TypeVar

from flows.threads.side_by_side import halt

Made = TypeVar("Made")


async def run_in_thread(work: Callable[[], Made], patience: float) -> Made:
    """The result of `work`, run in a thread with this context. If cancelled, halts it and waits `patience` seconds."""
    done: Future[Made] = Future()

    def through() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    thread = threading.Thread(target=copy_context().run, args=(through,), daemon=True)
    thread.start()
    try:
        return await asyncio.shield(asyncio.wrap_future(done))
    except asyncio.CancelledError:
        halt({thread}, patience)
        raise
