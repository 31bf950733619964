"""How long something may take before it is said to hang. What happens then: test_journal.py."""

import contextlib
import time

import pytest

from flows.threads import watchdog
from flows.threads.watchdog import extend_deadline, paused, watched


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
        extend_deadline(20)
        extend_deadline(1)  # as another portion does, in its own thread
        assert until(ended, 30) >= 0.9


def test_nothing_hangs_while_something_is_at_leisure_whoever_expects_what(ended):
    with watched(0.05, lambda: "it hangs"):
        with paused():
            with paused():
                extend_deadline(1)
            assert until(ended, 0.3) is None
        assert until(ended, 30) is not None


def test_without_a_limit_nothing_is_watched(ended):
    with watched(0, lambda: "it hangs"):
        assert until(ended, 0.2) is None


class Clock:
    """A clock of which the watchdog's own sleep takes what it is told to."""

    def __init__(self, sleeps: list[float]):
        self.now, self.sleeps = 1000.0, iter(sleeps)

    def monotonic(self) -> float:
        return self.now

    def wait(self, asked: float) -> bool:
        late = next(self.sleeps, None)
        self.now += asked + (late or 0.0)
        return late is None


@pytest.mark.parametrize(
    ("late", "hangs"),
    [([0.0] * 30, True), ([3600.0, 0.0], False), ([0.1] * 5, False), ([3600.0, *[0.0] * 30], True)],
    ids=["never stopped", "stopped for an hour", "often a little late", "hangs after it was stopped"],
)
def test_the_time_in_which_the_process_was_stopped_does_not_count(monkeypatch, ended, late, hangs):
    clock = Clock(late)
    monkeypatch.setattr(watchdog, "time", clock)
    for name, value in (("_seconds", 60.0), ("_deadline", 0.0), ("_longest", 0.0), ("LOOKS_EVERY", 5.0)):
        monkeypatch.setattr(watchdog, name, value)
    extend_deadline(1)
    with contextlib.suppress(Ended):
        watchdog._watch(clock, lambda: "it hangs")
    assert bool(ended) == hangs


def test_a_hang_ends_the_process_with_3_even_where_nothing_can_be_said(ended, monkeypatch):
    def broken() -> str:
        raise OSError("stderr is closed")

    with watched(0.1, broken):
        assert until(ended, 30) is not None
