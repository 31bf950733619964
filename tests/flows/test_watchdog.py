"""How long something may take before it is said to hang. What happens then: test_journal.py."""

import time

import pytest

from flows.threads import watchdog
from flows.threads.watchdog import at_leisure, expect, watched


class Ended(BaseException):
    pass


@pytest.fixture
def ended(monkeypatch) -> list[float]:
    """When the process would have ended itself."""
    at: list[float] = []

    def end(code: int) -> None:
        at.append(time.monotonic())
        raise Ended

    monkeypatch.setattr(watchdog.os, "_exit", end)
    monkeypatch.setattr(watchdog.faulthandler, "dump_traceback_later", lambda *_, **__: None)
    monkeypatch.setattr(watchdog.faulthandler, "dump_traceback", lambda **_: None)
    monkeypatch.setattr(watchdog.threading, "excepthook", lambda _: None)
    return at


def until(ended: list[float], seconds: float) -> float | None:
    """How long it took until the end, if it came."""
    began = time.monotonic()
    while not ended and time.monotonic() < began + seconds:
        time.sleep(0.005)
    return ended[0] - began if ended else None


def test_what_takes_longer_than_it_may_ends_the_process(ended):
    with watched(0.1, lambda: "it hangs"):
        assert until(ended, 30) >= 0.08


def test_what_may_take_long_is_not_cut_short_by_what_begins_beside_it(ended):
    with watched(0.05, lambda: "it hangs"):
        expect(20)
        expect(1)  # as another portion does, in its own thread
        assert until(ended, 30) >= 0.9


def test_nothing_hangs_while_something_is_at_leisure_whoever_expects_what(ended):
    with watched(0.05, lambda: "it hangs"):
        with at_leisure():
            with at_leisure():
                expect(1)
            assert until(ended, 0.3) is None
        assert until(ended, 30) is not None


def test_without_a_limit_nothing_is_watched(ended):
    with watched(0, lambda: "it hangs"):
        assert until(ended, 0.2) is None
