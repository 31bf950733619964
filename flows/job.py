"""The whole job with no Prefect in it: a folder in, a folder out, resumable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from flows import cards
from flows.faults import TooManyFailures, UsageError
from flows.find_masks import find_masks, segmenter_of
from flows.folder import Folder
from flows.manifest import LEDGER, Manifest
from flows.prompt_files import Wishes, read_wishes, unknown_files
from flows.records import Job, Outcome
from flows.remove_masked import remove_masked
from masks.segmenters import refuse
from removal import Choice, choose

SHARD = 32  # pictures that one call of a step, and so one task of the flow, is given


class Watch(Protocol):
    """Who follows a run: a progress bar, a Prefect artifact, or nobody."""

    def begin(self, total: int, finished: int) -> None: ...
    def did(self, outcome: Outcome) -> None: ...
    def say(self, message: str) -> None: ...


class Nobody:
    def begin(self, total: int, finished: int) -> None: ...
    def did(self, outcome: Outcome) -> None: ...
    def say(self, message: str) -> None: ...


@dataclass
class Summary:
    """What a run did, and how the target stands after it. `done` counts by status what this run did."""

    done: Counter[str] = field(default_factory=Counter)
    counts: dict[str, int] = field(default_factory=dict)
    pictures: int = 0

    @property
    def tried(self) -> int:
        return sum(self.done.values())

    @property
    def exit_code(self) -> int:
        return 1 if self.counts.get("failed") else 0


Find = Callable[[Job, list[str]], list[Outcome]]
Remove = Callable[[Job, list[Outcome]], Iterable[Outcome]]


def run(
    job: Job,
    watch: Watch | None = None,
    find: Find = find_masks,
    remove: Remove = remove_masked,
    masks_only: bool = False,
) -> Summary:
    """Do what is missing or changed of a job. The same call after any interruption goes on where it stopped.

    Raises UsageError or ValueError before anything is touched, Busy when another run holds the target,
    EnvironmentFault or TooManyFailures when the run had to stop.
    """
    watch = watch or Nobody()
    folder = Folder(job.source, job.target)
    job = remembered(job, folder) if not masks_only else job
    wishes = read_wishes(job)
    explain(job, wishes, watch, masks_only)
    names = folder.names()
    for message in unknown_files(wishes, names):
        watch.say(f"{job.prompts}: {message}")
    with Manifest(folder.target) as manifest:
        manifest.settle(job)
        gone = manifest.forget_missing(names)
        waiting = list(manifest.waiting(folder, names, wishes, job))
        if job.existing == "error" and len(waiting) < len(names):
            raise UsageError(
                f"{len(names) - len(waiting)} pictures are finished in {job.target}, and existing is 'error'"
            )
        waiting = waiting[: job.limit or None]
        watch.begin(len(waiting), len(names) - len(waiting))
        summary = Summary(pictures=len(names))
        try:
            for outcome in _outcomes(job, folder, manifest, wishes, waiting, find, remove, masks_only):
                manifest.record(folder, [outcome], wishes, job)
                summary.done[outcome.status] += 1
                watch.did(outcome)
                _judge(job, summary)
        finally:
            summary.counts = manifest.counts()
            if waiting or gone or not folder.path("metadata.jsonl").exists():
                cards.write(folder, manifest, job)
    return summary


def look(job: Job, watch: Watch, masks_only: bool = False) -> Summary:
    """What `run` would do, with its refusals; writes nothing."""
    folder = Folder(job.source, job.target)
    wishes = read_wishes(job)
    explain(job, wishes, watch, masks_only)
    names = folder.names()
    waiting = names
    if folder.path(LEDGER).exists():
        with Manifest(folder.target) as manifest:
            waiting = list(manifest.waiting(folder, names, wishes, job))
    watch.say(f"{len(names)} pictures: {len(waiting)} to do, {len(names) - len(waiting)} finished already")
    return Summary(pictures=len(names), counts={"to do": len(waiting), "finished": len(names) - len(waiting)})


def _outcomes(
    job: Job,
    folder: Folder,
    manifest: Manifest,
    wishes: Wishes,
    waiting: list[str],
    find: Find,
    remove: Remove,
    masks_only: bool,
) -> Iterator[Outcome]:
    """Two steps a shard: masks (files that can be looked at and corrected), then removal under them."""
    for first in range(0, len(waiting), SHARD):
        shard = waiting[first : first + SHARD]
        ready = {} if masks_only or job.existing == "overwrite" else manifest.masked(folder, shard, wishes)
        found = [*ready.values(), *find(job, [name for name in shard if name not in ready])]
        if masks_only:
            yield from found
            continue
        yield from (outcome for outcome in found if outcome.status != "masked")
        yield from remove(job, [outcome for outcome in found if outcome.status == "masked"])


def remembered(job: Job, folder: Folder) -> Job:
    """A job that says nothing of what to remove uses the masks that an earlier `masks` found in its target."""
    said = job.text or job.point or job.box or job.prompts or job.masks
    before = None if said else cards.read_job(folder)
    return job.model_copy(update=before) if before else job


def explain(job: Job, wishes: Wishes, watch: Watch, masks_only: bool) -> None:
    """Refuse what cannot work before any weights are loaded, and say what will be used."""
    segmenter = segmenter_of(job)
    for prompt in wishes.all.prompts:  # what the job itself asks; a bad row of a prompts file fails its own picture
        if reason := refuse(segmenter, prompt):
            raise UsageError(reason)
    if masks_only:
        return
    choice = chosen(job)
    if choice.method != "auto":
        watch.say(f"{job.model}: {choice.method} ({choice.reason})")
    if segmenter == "bundled" and choice.method != "telea":
        watch.say("the bundled models know only the sample scenes; on photos they find and fill poorly")


def chosen(job: Job) -> Choice:
    """The checkpoint and method of a job. Raises UsageError for what cannot be done."""
    try:
        return choose(job.model, job.method, job.revision or None, offline=True)
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(str(error)) from error


def _judge(job: Job, summary: Summary) -> None:
    failed = summary.done["failed"]
    if failed > job.failures_allowed(summary.tried):
        raise TooManyFailures(
            f"{failed} of {summary.tried} pictures failed, more than --max-failures {job.max_failures} allows; "
            f"`cleanplate status {job.target}` says why"
        )
