"""The work of a run, a portion at a time: masks first, then the removal under them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import Context, copy_context
from dataclasses import dataclass

from flows import due, thumbnails
from flows.endings import failed, passed_over
from flows.folder import Folder
from flows.interrupts import interrupted, until_interrupted
from flows.journal import ENOUGH
from flows.known import Seen, look_at
from flows.manifest import Manifest
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
    portions += [[name] for name in suspects if name in due_again]
    if work.at_once > 1:
        yield from _side_by_side(work, [one for one in portions if one[0] not in suspects])
        portions = [one for one in portions if one[0] in suspects]
    for portion in until_interrupted(portions):
        seen = look_at(work.folder, portion, work.wishes)
        if suspects.get(portion[0], 0) >= ENOUGH:
            yield _set_aside(work, portion[0]), seen[portion[0]]
            continue
        expect(len(portion))
        with work.manifest.journal.in_work(portion):
            yield from ((outcome, seen[outcome.source]) for outcome in _steps(work, portion, _ready(work, portion)))


def _side_by_side(work: Work, portions: list[list[str]]) -> Iterator[tuple[Outcome, Seen]]:
    """Several portions at a time, each waited for by a thread. The manifest is read and written by this one alone."""

    def begun() -> Iterator[tuple[Context, list[str], dict[str, Seen], dict[str, Outcome]]]:
        for portion in until_interrupted(portions):
            in_work.enter_context(work.manifest.journal.in_work(portion))
            yield copy_context(), portion, look_at(work.folder, portion, work.wishes), _ready(work, portion)

    def finish(
        one: tuple[Context, list[str], dict[str, Seen], dict[str, Outcome]],
    ) -> list[tuple[Outcome, Seen]]:
        context, portion, seen, ready = one
        return [(row, seen[row.source]) for row in context.run(list, _steps(work, portion, ready))]

    with ExitStack() as in_work, ThreadPoolExecutor(work.at_once) as pool:
        for rows in ahead(pool, finish, begun(), work.at_once - 1):
            yield from rows
    if work.manifest.shard is None:  # a machine that was lost may have left half of a file
        work.folder.sweep()


def _ready(work: Work, portion: list[str]) -> dict[str, Outcome]:
    return due.masked(work.manifest, work.folder, portion, work.wishes, work.job)


def _steps(work: Work, portion: list[str], ready: dict[str, Outcome]) -> Iterator[Outcome]:
    """Two steps: masks (files that can be looked at and corrected), then removal under them."""
    found = [*ready.values(), *work.find(work.job, [name for name in portion if name not in ready])]
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
