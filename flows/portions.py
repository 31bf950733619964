"""The work of a run, a portion at a time: masks first, then the removal under them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import Context, copy_context
from dataclasses import dataclass

from flows.endings import failed, passed_over
from flows.folder import Folder
from flows.interrupts import interrupted, until_interrupted
from flows.ledger import due
from flows.ledger.journal import ENOUGH
from flows.ledger.known import Seen, look_at
from flows.ledger.manifest import Manifest
from flows.page import thumbnails
from flows.pipeline import ahead
from flows.prompt_files import Wishes
from flows.records import Outcome, digest
from flows.settings import Job
from flows.watchdog import expect

PORTION = 32  # pictures that one call of a step, and so one task of the flow, is given

NOWHERE = Seen(-1, -1, "")  # what a row is true of that is due as soon as there is a picture

Find = Callable[[Job, list[str]], list[Outcome]]
Remove = Callable[[Job, list[Outcome]], Iterable[Outcome]]


@dataclass(frozen=True)
class Work:
    """What the portions of a run have in common."""

    job: Job
    folder: Folder
    manifest: Manifest
    wishes: Wishes
    find: Find
    remove: Remove
    masks_only: bool = False
    at_once: int = 1  # portions in work together, where `find` and `remove` go to other processes


def others(work: Work, reasons: dict[str, str]) -> Iterator[tuple[Outcome, Seen]]:
    """Rows of what is called like a picture and is none (names with reasons), where they are not in the manifest."""
    for name, reason in sorted(reasons.items()):
        row = work.manifest.outcome(name)
        if row is None or row.reason != reason:
            yield passed_over(work.folder, name, reason), NOWHERE


def outcomes(work: Work, waiting: list[str]) -> Generator[tuple[Outcome, Seen], None, None]:
    """Do what waits. Yields each row with what it is true of, to be committed before the next is asked for.

    What was in work when an earlier run died comes last, each alone; what died alone too often is set aside.
    """
    suspects = work.manifest.journal.suspects()
    due_again = set(waiting)
    ordinary = [name for name in waiting if name not in suspects]
    portions = [ordinary[first : first + PORTION] for first in range(0, len(ordinary), PORTION)]
    yield from (_side_by_side if work.at_once > 1 else _in_turn)(work, portions)
    for name in until_interrupted(name for name in suspects if name in due_again):
        one = _begin(work, [name])
        if suspects[name] >= ENOUGH:
            yield _set_aside(work, name), one.seen[name]
            continue
        with work.manifest.journal.in_work(one.names):
            yield from ((row, one.seen[row.source]) for row in _finish(work, _find(work, one)))
        work.manifest.sync()


@dataclass(frozen=True)
class _Portion:
    """Names in work together: what their rows are true of, which masks are there already, and their flow run."""

    names: list[str]
    seen: dict[str, Seen]
    ready: dict[str, Outcome]
    context: Context


def _in_turn(work: Work, portions: list[list[str]]) -> Iterator[tuple[Outcome, Seen]]:
    """One portion is painted at a time; the masks of the next one are found meanwhile, in a thread."""
    flights: deque[ExitStack] = deque()

    def begun() -> Iterator[_Portion]:
        for names in until_interrupted(portions):
            flights.append(ExitStack())
            flights[-1].enter_context(work.manifest.journal.in_work(names))
            yield _begin(work, names)

    def find(one: _Portion) -> tuple[_Portion, list[Outcome]]:
        return one, one.context.run(_find, work, one)

    with ThreadPoolExecutor(1) as finder:
        try:
            for one, found in ahead(finder, find, begun(), 1):
                yield from ((row, one.seen[row.source]) for row in _finish(work, found))
                flights.popleft().close()
                work.manifest.sync()
        finally:
            for flight in flights:
                flight.close()


def _side_by_side(work: Work, portions: list[list[str]]) -> Iterator[tuple[Outcome, Seen]]:
    """Several portions at a time, each waited for by a thread. The manifest is read and written by this one alone."""

    def begun() -> Iterator[_Portion]:
        for names in until_interrupted(portions):
            in_work.enter_context(work.manifest.journal.in_work(names))
            yield _begin(work, names)

    def finish(one: _Portion) -> list[tuple[Outcome, Seen]]:
        found = one.context.run(_find, work, one)
        return [(row, one.seen[row.source]) for row in one.context.run(list, _finish(work, found))]

    with ExitStack() as in_work, ThreadPoolExecutor(work.at_once) as pool:
        for rows in ahead(pool, finish, begun(), work.at_once - 1):
            yield from rows
            work.manifest.sync()
    if work.manifest.shard is None:  # a machine that was lost may have left half of a file
        work.folder.sweep()


def _begin(work: Work, names: list[str]) -> _Portion:
    seen = look_at(work.folder, names, work.wishes)
    ready = due.masked(work.manifest, work.folder, names, work.wishes, work.job)
    return _Portion(names, seen, ready, copy_context())


def _find(work: Work, one: _Portion) -> list[Outcome]:
    """The first step: masks, as files that can be looked at and corrected."""
    expect(len(one.names))
    return [*one.ready.values(), *work.find(work.job, [name for name in one.names if name not in one.ready])]


def _finish(work: Work, found: list[Outcome]) -> Iterator[Outcome]:
    """The second step: removal under the masks."""
    masked = [outcome for outcome in found if outcome.status == "masked"]
    if work.masks_only:
        for outcome in masked:  # what an earlier run painted does not belong to this mask
            work.folder.remove(work.folder.image_name(outcome.source))
        thumbnails.make(work.folder, [outcome.row() for outcome in masked])
        yield from found
        return
    yield from (outcome for outcome in found if outcome.status != "masked")
    if interrupted():
        return  # before weights are loaded for what is not to be begun
    yield from work.remove(work.job, masked)


def _set_aside(work: Work, name: str) -> Outcome:
    reason = "the process died twice while it worked on this picture alone; it is not tried again until it changes"
    return failed(work.folder, Outcome(name, "failed", settings=digest(work.job.settings)), ValueError(reason))
