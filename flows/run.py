"""The whole job with no Prefect in it: a folder in, a folder out, resumable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from flows import canary
from flows.errors import TooManyFailures
from flows.finish import accompany, conclude
from flows.formats.mask_files import taken_by_alpha
from flows.job import Job
from flows.ledger.manifest import Manifest
from flows.ledger.pruning import prune
from flows.ledger.shards import records_of
from flows.ledger.tables import ledger_of
from flows.messages.counts import many
from flows.messages.readable import readable
from flows.outcome import Outcome
from flows.portions import HERE, Steps, Work, outcomes, rejected
from flows.preflight import Task, due_of, opened, preflight, refuse_missing_weights
from flows.records import card as cards
from flows.records.forecast import Forecast, forecast, pace_of
from flows.steps.introduction import introduction
from flows.steps.needed_weights import in_words, missing, slow_here
from flows.steps.remove_masked import GROUP
from flows.threads.interrupts import interrupted, request_stop
from flows.threads.watchdog import extend_deadline, watched
from removal.weights.devices import REPAID, devices, weights_leave


class Watch(Protocol):
    """The follower of a run: a progress bar, a Prefect artifact, or nobody."""

    def begin(self, total: int, finished: int) -> None: ...
    def did(self, outcome: Outcome) -> None: ...
    def say(self, message: str) -> None: ...


class Silent:
    """Follows a run and says nothing."""

    def begin(self, total: int, finished: int) -> None: ...
    def did(self, outcome: Outcome) -> None: ...
    def say(self, message: str) -> None: ...


SILENT = Silent()


@dataclass
class Summary:
    """The work of a run (`done`, by status; `doubted` of them), and the state of its target afterwards:

    `counts`, `doubtful`. `interrupted`: it was asked to stop before the end. `takes`: the forecast of a run that was
    only looked at.
    """

    done: Counter[str] = field(default_factory=Counter)
    doubted: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    pictures: int = 0
    doubtful: int = 0
    interrupted: bool = False
    takes: Forecast | None = None

    @property
    def tried(self) -> int:
        return sum(self.done.values())

    @property
    def exit_code(self) -> int:
        return 130 if self.interrupted else 1 if self.counts.get("failed") else 0

    def add(self, outcome: Outcome) -> None:
        self.done[outcome.status] += 1
        self.doubted += outcome.verdict == "doubtful"


def run(job: Job, watch: Watch = SILENT, steps: Steps = HERE, masks_only: bool = False) -> Summary:
    """Do the missing and changed pictures of a job. The same call resumes after any interruption.

    Raises UsageError or ValueError before anything is touched, Busy when another run holds the target,
    EnvironmentFault or TooManyFailures when the run had to stop.
    """
    task = preflight(job, watch.say, masks_only)
    job = task.job
    with opened(task, watch.say) as manifest:
        waiting = due_of(task, manifest)
        _prune(task, manifest, watch)
        begun = waiting[: job.limit or None]
        if begun:
            watch.say(introduction(job, masks_only, bool(steps.elsewhere)))
        if begun and not steps.elsewhere:
            refuse_missing_weights(task, manifest, begun, watch.say)
        watch.begin(len(begun), len(task.there.names) - len(waiting))
        summary = Summary(pictures=len(task.there.all))
        work = Work(compiling(job, len(begun)), task.folders, manifest, task.requests, steps, masks_only)
        with _recorded(work, task, summary, bool(begun)):
            with watched(_patience(work), lambda: _last_words(job, manifest)):
                _sample_and_rest(work, begun, summary, watch)
            summary.interrupted = interrupted() and summary.tried < len(begun)
            if summary.tried == len(waiting):
                manifest.settings.write()
                manifest.settings.overwritten()
            if not interrupted():
                before = {*task.there.names}.difference(waiting)
                accompany(job, task.folders, manifest, before, watch.say)
    return summary


def compiling(job: Job, pictures: int) -> Job:
    """The job, with `compile` on instead of auto if there are enough pictures to repay it."""
    if job.compile != "auto" or pictures < REPAID or job.attention != "plain" or job.method == "attentive":
        return job
    stay = [one.startswith("cuda") and not weights_leave(job.offload, one) for one in devices(job.device)]
    return job.model_copy(update={"compile": "on"}) if all(stay) else job


def look(job: Job, watch: Watch, masks_only: bool = False) -> Summary:
    """The summary of what `run` would do, with its checks; writes nothing, not even to the manifest."""
    task, pace = preflight(job, watch.say, masks_only), None
    names = waiting = task.there.names
    if task.folders.target.has(ledger_of(task.shard)) or task.folders.target.has("metadata.jsonl"):
        with opened(task, watch.say, only_look=True) as manifest:
            pace = None if masks_only else pace_of(manifest)
            waiting = due_of(task, manifest)
    finished = len(names) - len(waiting)
    waiting = waiting[: job.limit or None]
    watch.say(f"{many(len(names), 'picture')}: {len(waiting)} to do, {finished} finished already")
    if waiting:
        watch.say(introduction(task.job, masks_only))
    lacking = missing(task.job, masks_only) if waiting else []
    if lacking:
        watch.say(in_words(lacking))
    if waiting and not masks_only and (slow := slow_here(task.job)):
        watch.say(slow)
    takes = forecast(task.job, task.folders, waiting, pace, sum(one.size or 0 for one in lacking))
    if waiting:
        watch.say(str(takes))
    return Summary(pictures=len(names), counts={"to do": len(waiting), "finished": finished}, takes=takes)


def _prune(task: Task, manifest: Manifest, watch: Watch) -> None:
    if task.job.prune and (gone := prune(manifest, task.folders.target, task.whole.all)):
        watch.say(f"removed the results of {many(gone, 'picture')} no longer in {task.job.source}")


@contextmanager
def _recorded(work: Work, task: Task, summary: Summary, begins: bool) -> Iterator[None]:
    """Write the record files after the work, however it ends.

    A shard's job.toml is written at once, for the other shards; if it reached no row, the earlier one is restored.
    """
    manifest, folders, place = work.manifest, task.folders, records_of(task.shard)
    passed = list(rejected(work, task.there))
    if begins or passed:
        manifest.mark_records_stale()
    before = cards.job_of(folders.target, place) if task.shard else None
    if task.shard:
        cards.write_job(folders.target, task.job, place)
    try:
        for outcome, fingerprint in passed:
            manifest.record(folders.target, outcome, fingerprint, task.job)
        yield
    finally:
        if before and manifest.settings.unwritten:
            cards.write_job(folders.target, before, place)
        summary.counts, summary.doubtful = conclude(task.job, folders, manifest, task.present)


def _sample_and_rest(work: Work, begun: list[str], summary: Summary, watch: Watch) -> None:
    """Do the pictures that were begun; with --canary a sample of them first, which is judged before the rest."""
    for first, part in zip((True, False), canary.split(begun, work.job.canary), strict=False):
        _do(work, part, summary, watch)
        if work.job.canary and first and summary.tried == len(part):
            watch.say(canary.judge(work.job, summary.tried, summary.done["failed"], summary.doubted))


def _do(work: Work, names: list[str], summary: Summary, watch: Watch) -> None:
    trouble = how = None
    with closing(outcomes(work, names)) as done:  # pictures in progress are recorded before the manifest closes
        for outcome, fingerprint in done:
            outcome = work.manifest.record(work.folders.target, outcome, fingerprint, work.job)
            summary.add(outcome)
            watch.did(outcome)
            if how is None and (how := taken_by_alpha(outcome.reason)):
                watch.say(f"{outcome.source}: {how}")
            extend_deadline(GROUP)
            if trouble is None and (trouble := _too_many(work.job, summary)):
                request_stop()  # pictures finished by then get their rows too
    if trouble is not None:
        raise trouble


def _patience(work: Work) -> float:
    """Seconds a picture before a run ends itself; 0 if the work is on other machines, which that would not stop."""
    return 0 if work.steps.elsewhere else work.job.hang_timeout


def _last_words(job: Job, manifest: Manifest) -> str:
    """The message of a run that ends itself because a call hangs."""
    names = manifest.journal.hangs()
    others = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (
        f"nothing was finished for {job.hang_timeout:g} seconds a picture, so this run ends itself while working on "
        f"{readable(', '.join(names[:3]))}{others}; the same command goes on, and takes these last, each alone. "
        "If they are only slow, give --hang-timeout more seconds"
    )


def _too_many(job: Job, summary: Summary) -> TooManyFailures | None:
    failed = summary.done["failed"]
    if failed <= job.failures_allowed(summary.tried):
        return None
    return TooManyFailures(
        f"{failed} of {summary.tried} pictures failed, more than --max-failures {job.max_failures} allows; "
        f"`cleanplate status {job.target}` says why"
    )
