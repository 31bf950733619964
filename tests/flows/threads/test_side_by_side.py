"""Works in threads, whose results come to one."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from flows.threads import side_by_side as module
from flows.threads.side_by_side import Halted, side_by_side

LONG = 60


def nothing() -> None:
    pass


def together(
    work: Callable, source: Iterator | list, most: int = 2, request_stop: Callable[[], None] = nothing
) -> list:
    return list(side_by_side(work, iter(source), most, request_stop))


def test_everything_that_is_made_comes_with_what_it_was_made_of_and_none_in_the_end():
    found = together(lambda one: [10 * one, 10 * one + 1], [1, 2, 3])
    for one in (1, 2, 3):
        assert [made for of, made in found if of == one] == [10 * one, 10 * one + 1, None]


def test_what_one_makes_comes_while_another_is_still_at_work():
    came = threading.Event()

    def work(one: str) -> Iterator[str]:
        if one == "slow":
            assert came.wait(LONG)
        yield one

    found = []
    for _, made in side_by_side(work, iter(["slow", "quick"]), 2, nothing):
        found.append(made)
        if made == "quick":
            came.set()
    assert found == ["quick", None, "slow", None]


def test_work_goes_on_while_the_caller_has_another_result():
    through = threading.Event()

    def work(one: int) -> Iterator[int]:
        yield from range(3)
        through.set()

    for _, made in side_by_side(work, iter([1]), 1, nothing):
        if made == 0:
            assert through.wait(LONG)


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_are_in_work_together_than_is_allowed(most):
    at_work, seen, lock = [], [], threading.Lock()

    def work(one: int) -> Iterator[int]:
        with lock:
            at_work.append(one)
            seen.append(len(at_work))
        time.sleep(0.01)
        with lock:
            at_work.remove(one)
        yield one

    together(work, range(12), most)
    assert max(seen) == most


def test_trouble_comes_after_what_others_made_and_nothing_more_is_begun():
    begun, failed, wound_up = [], threading.Event(), []

    def work(one: int) -> Iterator[str]:
        begun.append(one)
        if one == 1:
            failed.set()
            raise ZeroDivisionError("the first")
        assert failed.wait(LONG)
        yield "first"
        while not wound_up:
            time.sleep(0.001)
        yield "second"

    results = side_by_side(work, iter([0, 1, 2, 3]), 2, lambda: wound_up.append(True))
    assert {next(results)[1] for _ in range(4)} == {"first", "second", None}
    with pytest.raises(ZeroDivisionError, match="the first"):
        next(results)
    assert sorted(begun) == [0, 1]


def test_trouble_with_the_source_comes_after_what_was_made_of_what_it_gave():
    def source() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError

    results = side_by_side(lambda one: [one], source(), 2, nothing)
    assert [next(results), next(results)] == [(1, 1), (1, None)]
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.parametrize("stop", [lambda results: results.close(), lambda results: results.throw(KeyboardInterrupt)])
def test_a_caller_who_stops_ends_the_threads_where_they_are(stop):
    ended = []

    def work(one: int) -> Iterator[int]:
        yield one
        try:
            while True:
                time.sleep(0.001)
        except Halted:
            ended.append(one)
            raise

    results = side_by_side(work, iter([1, 2]), 2, nothing)
    next(results), next(results)
    began = threading.active_count()
    with contextlib.suppress(KeyboardInterrupt):
        stop(results)
    assert sorted(ended) == [1, 2]
    assert threading.active_count() == began - 2


def test_what_hangs_is_left_behind_after_a_while_and_keeps_no_process_alive(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    released = threading.Event()

    def work(one: int) -> Iterator[int]:
        yield one
        released.wait()  # as native code: nothing is raised in it

    before = set(threading.enumerate())
    results = side_by_side(work, iter([1]), 1, nothing)
    next(results)
    results.close()
    (left,) = set(threading.enumerate()) - before
    assert left.daemon
    released.set()
    left.join(LONG)
    assert not left.is_alive()
