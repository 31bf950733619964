"""Killed at any point, by any signal: nothing half-written is visible, and the same command ends in the same folder."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.job import Job
from flows.run import run
from flows.samples.scenes import write_scenes
from tests.benchmarks.faults import HANG_TIMEOUT, pause
from tests.flows.killing import killed, points
from tests.flows.small import delivered, rows, small

PICTURES = 12
SIGNALS = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
PLACES = itertools.count()


@dataclass(frozen=True)
class Course:
    """A job to be killed: what stood in its target before, its command, and what it ends in when nobody does."""

    job: Callable[[str], Job]  # of a target
    before: Callable[[Job], object]
    whole: dict[str, str]
    points: int
    place: Path

    def command(self, target: str) -> tuple[str, ...]:
        given = self.job(target).model_dump(exclude_unset=True, exclude={"source", "target"})
        flags = [_flag(name, value) for name, value in given.items()]
        return ("run", self.job(target).source, target, *flags, "--no-flow")


def _flag(name: str, value: object) -> str:
    name = name.replace("_", "-")
    return f"--no-{name}" if value is False else f"--{name}={value}"


def course(place: Path, job: Callable[[str], Job], before: Callable[[Job], object] = lambda _: None) -> Course:
    """Run it once, undisturbed."""
    made = Course(job, before, {}, 0, place)
    target = str(place / "whole")
    before(job(target))
    assert killed(place / "log", made.command(target), 0, signal.SIGKILL) == 0, (place / "log").read_text()
    return Course(job, before, delivered(target), points(place / "log"), place)


@pytest.fixture(scope="module", params=["first run", "overwriting", "after masks"])
def course_without_weights(request, tmp_path_factory) -> Course:
    place = tmp_path_factory.mktemp("course")

    def job(target: str) -> Job:
        more = {"dilate": 2, "existing": "overwrite"} if request.param == "overwriting" else {}
        return small(place, PICTURES, target=target, **more)

    before = {
        "first run": lambda _: None,
        "overwriting": lambda job: run(job.model_copy(update={"dilate": 0, "existing": "skip"})),
        "after masks": lambda job: run(job, masks_only=True),
    }[request.param]
    return course(place, job, before)


def kill_and_resume(course: Course, share: float, by: signal.Signals, again: tuple[float, ...] = ()) -> None:
    """Kill a run at a share of its points, and resume it; with `again` kill the resumed runs as well."""
    target = str(course.place / f"killed{next(PLACES)}")
    course.before(course.job(target))
    before, log = delivered(target), course.place / "log"
    for one in (share, *again):
        ended = killed(log, course.command(target), 1 + int(one * course.points), by)
        assert ended in (SIGNALS[by], 0), log.read_text()
        if by is not signal.SIGINT:
            assert "Traceback" not in log.read_text()
        visible = {name: sha for name, sha in delivered(target).items() if not name.endswith(".part")}
        for name, sha in visible.items():
            assert sha in (course.whole.get(name), before.get(name)), name
    assert killed(log, course.command(target), 0, by) == 0, log.read_text()
    assert delivered(target) == course.whole
    assert {row["status"] for row in rows(target).values()} == {"removed"}
    assert len(rows(target)) == len([name for name in course.whole if name.startswith("images/")])
    assert not list(Path(target).rglob("*.part"))


shares = st.floats(0, 1, exclude_max=True)
any_number = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@settings(any_number, max_examples=6)
@given(share=shares, by=st.sampled_from([*SIGNALS]))
def test_a_run_killed_at_any_point_ends_in_the_same_folder(course_without_weights, share, by):
    kill_and_resume(course_without_weights, share, by)


@pytest.mark.slow
@settings(any_number, max_examples=100)
@given(share=shares, by=st.sampled_from([*SIGNALS]))
def test_a_hundred_runs_killed_at_any_point_end_in_the_same_folder(course_without_weights, share, by):
    kill_and_resume(course_without_weights, share, by)


@pytest.mark.slow
@settings(any_number, max_examples=40)
@given(share=shares, again=st.tuples(shares, shares))
def test_a_run_killed_three_times_ends_in_the_same_folder(course_without_weights, share, again):
    kill_and_resume(course_without_weights, share, signal.SIGTERM, again)


@pytest.mark.slow
def test_a_run_that_is_paused_for_longer_than_a_hang_may_last_goes_on_as_if_it_was_not(tmp_path):
    """Stopped in work and woken again, as by `docker pause`; the watchdog's own arithmetic is in test_watchdog."""
    paused = course(tmp_path, lambda target: small(tmp_path, PICTURES, target=target, hang_timeout=HANG_TIMEOUT))
    for share in (0.3, 0.6, 0.9):
        target = str(tmp_path / f"paused{share}")
        ended = killed(tmp_path / "log", paused.command(target), int(share * paused.points), pause)
        assert ended == 0, (tmp_path / "log").read_text()
        assert delivered(target) == paused.whole
        assert {row["status"] for row in rows(target).values()} == {"removed"}


@pytest.fixture(scope="module")
def course_with_models(tmp_path_factory) -> Course:
    place = tmp_path_factory.mktemp("models")
    write_scenes(place / "scenes", count=3, seed=11)
    given = {"prompts": str(place / "scenes" / "prompts.jsonl"), "model": "bundled", "steps": 2, "batch_size": 1}
    return course(place, lambda target: Job(source=str(place / "scenes" / "images"), target=target, **given))


@settings(any_number, max_examples=5)
@given(share=shares)
def test_a_run_of_the_real_models_killed_at_any_point_ends_in_the_same_pictures(course_with_models, share):
    """Crops are painted one at a time here, so that the pictures are the same to the bit."""
    kill_and_resume(course_with_models, share, signal.SIGKILL)
