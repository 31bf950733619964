"""The work of a run in portions: masks first, then the removal."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from contextvars import Context, copy_context
from dataclasses import dataclass
from threading import Semaphore

from flows.job import Job
from flows.ledger import due
from flows.ledger.entry import ABSENT, Fingerprint, fingerprints
from flows.ledger.journal import ENOUGH
from flows.ledger.manifest import Manifest
from flows.outcome import Outcome, digest
from flows.places.folders import Folders
from flows.places.survey import Survey
from flows.requests.job_requests import Requests
from flows.steps import thumbnails
from flows.steps.find_masks import find_masks
from flows.steps.remove_masked import remove_masked
from flows.steps.unpainted import failed, passed_over
from flows.threads.interrupts import request_stop, stop_requested, stoppable, until_interrupted
from flows.threads.side_by_side import side_by_side
from flows.threads.watchdog import extend_deadline

PORTION = 32  # pictures in one call of a step, and so in one task of the flow
READ = 8  # pictures that may be read before the time that a model takes is known
AT_ONCE = (3, 1, 2)  # portions in progress here: in all, in the first step, in the second

Find = Callable[[Job, list[str]], list[Outcome]]
Remove = Callable[[Job, list[Outcome]], Iterable[Outcome]]


@dataclass(frozen=True)
class Steps:
    """The two steps of a portion. If they run on other machines, `elsewhere` portions do at once."""

    find: Find = find_masks
    remove: Remove = remove_masked
    elsewhere: int = 0


HERE = Steps()


@dataclass(frozen=True)
class Work:
    """The common parts of a run's portions."""

    job: Job
    folders: Folders
    manifest: Manifest
    requests: Requests
    steps: Steps
    masks_only: bool = False


def rejected(work: Work, there: Survey) -> Iterator[tuple[Outcome, Fingerprint]]:
    """New rows of files that are not begun: not pictures, or without a place for their results."""
    for name, reason in sorted((there.rejected | there.barred).items()):
        row = work.manifest.outcome(name)
        if row is None or row.reason != reason:
            status = "failed" if name in there.barred else "skipped"
            yield passed_over(work.folders.target, name, status, reason), ABSENT


def outcomes(work: Work, waiting: list[str]) -> Generator[tuple[Outcome, Fingerprint], None, None]:
    """Do the waiting pictures. Yields each row with its fingerprint, to be committed before the next is asked for.

    Pictures in progress when an earlier run died come last, one at a time; one alone at too many deaths is set aside.
    """
    suspects = work.manifest.journal.suspects()
    due_again = set(waiting)
    ordinary = [name for name in waiting if name not in suspects]
    portions = [ordinary[first : first + PORTION] for first in range(0, len(ordinary), PORTION)]
    with stoppable():
        yield from _worked_through(work, portions)
        if work.steps.elsewhere and work.manifest.shard is None:  # a lost machine may have left a half-written file
            work.folders.target.sweep()
        for name in until_interrupted(name for name in suspects if name in due_again):
            if suspects[name] < ENOUGH:
                yield from _worked_through(work, [[name]])
            else:
                yield _set_aside(work, name), fingerprints(work.folders.source, [name], work.requests)[name]


@dataclass(frozen=True)
class _Portion:
    """Names in progress together: their fingerprints, the masks that exist already, and their flow run."""

    names: list[str]
    fingerprints: dict[str, Fingerprint]
    ready: dict[str, Outcome]
    context: Context
    flight: ExitStack


def _worked_through(work: Work, portions: list[list[str]]) -> Iterator[tuple[Outcome, Fingerprint]]:
    """Do several portions at a time, each in a thread. Only this thread reads and writes the manifest.

    On this machine one portion is in the first step; of two others, one is painted while the other is read or written.
    """
    at_once, finding, painting = (work.steps.elsewhere,) * 3 if work.steps.elsewhere else AT_ONCE
    finders, painters = Semaphore(finding), Semaphore(painting)

    def begun() -> Iterator[_Portion]:
        for names in until_interrupted(portions):
            flight = in_work.enter_context(ExitStack())
            flight.enter_context(work.manifest.journal.in_progress(names))
            yield _begin(work, names, flight)

    def through(one: _Portion) -> Generator[Outcome, None, None]:
        with finders:
            found = one.context.run(_find, work, one)
        with painters:
            yield from _within(one.context, _finish(work, found))

    with ExitStack() as in_work, closing(side_by_side(through, begun(), at_once, request_stop)) as rows:
        for one, row in rows:
            if row is not None:
                yield row, one.fingerprints[row.source]
                continue
            one.flight.close()
            work.manifest.sync()


def _within(context: Context, rows: Generator[Outcome, None, None]) -> Iterator[Outcome]:
    """The same rows, computed in a context."""
    with closing(rows):
        while (row := context.run(next, rows, None)) is not None:
            yield row


def _begin(work: Work, names: list[str], flight: ExitStack) -> _Portion:
    taken = fingerprints(work.folders.source, names, work.requests)
    ready = due.masked(work.manifest, work.folders, names, work.requests, work.job)
    return _Portion(names, taken, ready, copy_context(), flight)


def _find(work: Work, one: _Portion) -> list[Outcome]:
    """The first step: masks, as files that can be inspected and corrected."""
    extend_deadline(min(len(one.names), READ))
    return [*one.ready.values(), *work.steps.find(work.job, [name for name in one.names if name not in one.ready])]


def _finish(work: Work, found: list[Outcome]) -> Generator[Outcome, None, None]:
    """The second step: removal under the masks."""
    masked = [outcome for outcome in found if outcome.status == "masked"]
    if work.masks_only:
        for outcome in masked:  # an earlier result does not belong to this mask
            work.folders.target.remove(work.folders.target.image_name(outcome.source))
        thumbnails.make(work.folders.target, [outcome.row() for outcome in masked], work.folders.source)
        yield from found
        return
    yield from (outcome for outcome in found if outcome.status != "masked")
    if stop_requested():
        return  # before loading weights for pictures that will not be begun
    yield from work.steps.remove(work.job, masked)


def _set_aside(work: Work, name: str) -> Outcome:
    reason = (
        "the process died twice while it worked on this picture alone, or it hung on it alone after an earlier death; "
        "it is not tried again until it changes"
    )
    return failed(work.folders.target, Outcome(name, "failed", settings=digest(work.job.settings)), ValueError(reason))
