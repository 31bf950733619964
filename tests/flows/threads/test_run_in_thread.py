"""A work beside an event loop."""

import asyncio
import threading
import time
from contextvars import ContextVar

import pytest

from flows.threads.run_in_thread import run_in_thread
from flows.threads.side_by_side import Halted

SAID: ContextVar[str] = ContextVar("said")


def test_a_work_has_a_thread_of_its_own_and_the_context_of_its_caller():
    async def caller() -> tuple[str, threading.Thread]:
        SAID.set("hello")
        return await run_in_thread(lambda: (SAID.get(), threading.current_thread()), 1)

    said, thread = asyncio.run(caller())
    assert said == "hello"
    assert thread is not threading.current_thread()


def test_the_event_loop_is_free_while_it_lasts():
    goes_on = threading.Event()

    async def caller() -> list:
        async def free() -> None:
            goes_on.set()

        return await asyncio.gather(run_in_thread(lambda: goes_on.wait(60), 1), free())

    assert asyncio.run(caller())[0]


def test_what_it_raises_is_raised_where_it_is_awaited():
    with pytest.raises(ZeroDivisionError):
        asyncio.run(run_in_thread(lambda: 1 // 0, 1))


def test_cancelled_it_ends_where_it_is_and_is_waited_for():
    begun, ended = threading.Event(), []

    def work() -> None:
        try:
            while True:
                begun.set()
                time.sleep(0.001)
        except Halted:
            time.sleep(0.05)  # such as writing the records
            ended.append(True)

    async def caller() -> None:
        task = asyncio.ensure_future(run_in_thread(work, 60))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == [True]

    asyncio.run(caller())
