"""The whole job with no Prefect in it: a folder in, a folder out, resumable."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol

from flows import canary
from flows.errors import TooManyFailures, UsageError
from flows.finish import conclude
from flows.formats.mask_files import taken_by_alpha
from flows.job import Job
from flows.ledger import due
from flows.ledger.beside import refuse_beside
from flows.ledger.manifest import Manifest
from flows.ledger.mirror import carried
from flows.ledger.pruning import prune
from flows.ledger.shards import parse_shard, records_of
from flows.ledger.tables import ledger_of
from flows.messages.readable import readable
from flows.outcome import Outcome
from flows.places import unread
from flows.places.folder import Folder
from flows.places.one_file import to_one_file
from flows.places.sidecars import copy_others
from flows.places.source import Survey
from flows.portions import Find, Remove, Work, others, outcomes
from flows.records import card as cards
from flows.records import rebuild
from flows.records.forecast import Forecast, forecast, pace_of
from flows.requests.job_requests import Wishes, read_wishes, without_a_partner, without_masks
from flows.steps import protection
from flows.steps.find_masks import find_masks, segmenter_of
from flows.steps.needed_weights import in_words, missing, refuse_unreachable
from flows.steps.remove_masked import GROUP, remove_masked
from flows.threads.interrupts import interrupted, wind_up
from flows.threads.watchdog import expect, watched
from masks.segmenters import objection, split_name
from removal import Choice, choose
from removal.checkpoints.fetch import license_before
from removal.weights.licenses import refuse_unaccepted


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
    """What a run did (`done`, by status; `doubted` of them), and how its target stands then: `counts`, `doubtful`.

    `interrupted`: somebody asked it to stop before it was through. `takes`: what a run that was only looked at would.
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


def run(
    job: Job,
    watch: Watch | None = None,
    find: Find = find_masks,
    remove: Remove = remove_masked,
    masks_only: bool = False,
    elsewhere: int = 0,
) -> Summary:
    """Do what is missing or changed of a job. The same call after any interruption goes on where it stopped.

    `find` and `remove` may be told to other machines, with so many portions of pictures `elsewhere` at once.
    Raises UsageError or ValueError before anything is touched, Busy when another run holds the target,
    EnvironmentFault or TooManyFailures when the run had to stop.
    """
    watch = watch or Nobody()
    folder, job, wishes = _prepared(job, watch, masks_only)
    whole, shard = without_masks(folder.survey(), folder.source, wishes), parse_shard(job.shard)
    wishes = wishes.among(lambda: whole.names)
    for message in (*without_a_partner(wishes), *_left_out(whole)):
        watch.say(message)
    there = shard.deal(whole) if shard else whole
    names = there.names
    with carried(folder), folder.listed(), rebuild.opened(folder, watch.say, shard=shard) as manifest:
        refuse_beside(job, folder.target)
        _refuse_unmounted(job, whole, manifest)
        manifest.tidy(folder)
        waiting = _due(job, folder, manifest, there, wishes, masks_only)
        if job.prune and (gone := prune(manifest, folder, whole.all)):
            watch.say(f"{gone} pictures are no longer in {job.source}; their results were taken away")
        finished = len(names) - len(waiting)
        begun = waiting[: job.limit or None]
        if begun and not elsewhere:
            _refuse_missing_weights(job, folder, manifest, begun, wishes, watch, masks_only)
        watch.begin(len(begun), finished)
        present = None if folder.single else there.all
        summary = Summary(pictures=len(there.all))
        work = Work(job, folder, manifest, wishes, find, remove, masks_only, elsewhere)
        patience = 0 if elsewhere else job.hang_timeout  # what hangs elsewhere is not ended by ending this process
        passed = list(others(work, there))
        if begun or passed:
            manifest.publishes(-1)
        before = cards.job_of(folder, records_of(shard)) if shard else None
        if shard:  # at once, for those beside it
            cards.write_job(folder, job, records_of(shard))
        try:
            for outcome, seen in passed:
                manifest.record(folder, outcome, seen, job)
            with watched(patience, lambda: _last_words(job, manifest)):
                for first, part in zip((True, False), canary.split(begun, job.canary), strict=False):
                    _do(work, part, summary, watch)
                    if job.canary and first and summary.tried == len(part):
                        watch.say(canary.judge(job, summary.tried, summary.done["failed"], summary.doubted))
            summary.interrupted = interrupted() and summary.tried < len(begun)
            if summary.tried == len(waiting):
                manifest.adopt()
                manifest.overwritten()
            if job.copy_others and not interrupted():
                watch.say(f"{copy_others(folder)} files that are no pictures copied")
        finally:
            if before and manifest.unadopted:
                cards.write_job(folder, before, records_of(shard))
            summary.counts, summary.doubtful = conclude(job, folder, manifest, present)
    return summary


def _do(work: Work, names: list[str], summary: Summary, watch: Watch) -> None:
    trouble = how = None
    with closing(outcomes(work, names)) as done:  # what is in work lands before the manifest closes
        for outcome, seen in done:
            outcome = work.manifest.record(work.folder, outcome, seen, work.job)
            summary.done[outcome.status] += 1
            summary.doubted += outcome.verdict == "doubtful"
            watch.did(outcome)
            if how is None and (how := taken_by_alpha(outcome.reason)):
                watch.say(f"{outcome.source}: {how}")
            expect(GROUP)
            if trouble is None and (trouble := _too_many(work.job, summary)):
                wind_up()  # what is finished by then has its rows too
    if trouble is not None:
        raise trouble


def look(job: Job, watch: Watch, masks_only: bool = False) -> Summary:
    """What `run` would do, with its refusals; writes nothing, not even to the manifest."""
    folder, job, wishes = _prepared(job, watch, masks_only)
    whole, shard, pace = without_masks(folder.survey(), folder.source, wishes), parse_shard(job.shard), None
    wishes = wishes.among(lambda: whole.names)
    for message in (*without_a_partner(wishes), *_left_out(whole)):
        watch.say(message)
    there = shard.deal(whole) if shard else whole
    names = waiting = there.names
    if folder.has(ledger_of(shard)) or folder.has("metadata.jsonl"):
        with carried(folder, only_look=True), rebuild.opened(folder, watch.say, True, shard) as manifest:
            refuse_beside(job, folder.target)
            _refuse_unmounted(job, whole, manifest)
            pace = None if masks_only else pace_of(manifest)
            with folder.listed():
                waiting = _due(job, folder, manifest, there, wishes, masks_only)
    finished = len(names) - len(waiting)
    waiting = waiting[: job.limit or None]
    watch.say(f"{len(names)} pictures: {len(waiting)} to do, {finished} finished already")
    lacking = missing(job, masks_only) if waiting else []
    if lacking:
        watch.say(in_words(lacking))
    takes = forecast(job, folder, waiting, pace, sum(one.size or 0 for one in lacking))
    if waiting:
        watch.say(str(takes))
    return Summary(pictures=len(names), counts={"to do": len(waiting), "finished": finished}, takes=takes)


def _prepared(job: Job, watch: Watch, masks_only: bool) -> tuple[Folder, Job, Wishes]:
    """A job's folders, the job with what was remembered, and its wishes, once nothing speaks against them."""
    job = to_one_file(job)
    folder = Folder(job.source, job.target, job.format)
    if folder.single and (job.prune or job.copy_others):
        raise UsageError("prune and copy-others are for a whole folder, not for one picture of it")
    if folder.is_far and (job.shard or job.copy_others):
        raise UsageError("shard and copy-others are for folders of this machine, not for a store")
    job = remembered(job, folder) if not masks_only else job
    wishes = read_wishes(job)
    explain(job, wishes, watch, masks_only)
    return folder, job, wishes


def _due(job: Job, folder: Folder, manifest: Manifest, there: Survey, wishes: Wishes, masks_only: bool) -> list[str]:
    """What is to be done on a target, after everything that the target itself has against it."""
    manifest.refuse(job)
    rebuild.complete(manifest, folder, there.names, wishes, job)
    manifest.settle(job, masks_only)
    waiting = list(due.waiting(manifest, folder, there.names, wishes, job, masks_only))
    if job.existing == "error" and len(waiting) < len(there.names):
        raise UsageError(
            f"{len(there.names) - len(waiting)} pictures are finished in {job.target}, and existing is 'error'"
        )
    return waiting


def _refuse_unmounted(job: Job, whole: Survey, manifest: Manifest) -> None:
    if not whole.all and not manifest.is_empty():
        raise UsageError(f"{job.source} holds no pictures, but its target has rows; is it mounted?")


def _refuse_missing_weights(
    job: Job, folder: Folder, manifest: Manifest, names: list[str], wishes: Wishes, watch: Watch, masks_only: bool
) -> None:
    """Say what has to be fetched first; where it cannot be, raise EnvironmentFault before anything is done."""
    lacking = missing(job, masks_only)
    if any(one.finds for one in lacking) and len(due.masked(manifest, folder, names, wishes, job)) == len(names):
        lacking = [one for one in lacking if not one.finds]  # their masks are there already
    if lacking:
        refuse_unreachable(job, lacking)
        watch.say(in_words(lacking))


def remembered(job: Job, folder: Folder) -> Job:
    """A job that says nothing of what to remove uses the masks that an earlier `masks` found in its target."""
    said = job.text or job.point or job.box or job.prompts or job.coco or job.masks or job.protect
    before = None if said else cards.read_job(folder)
    return job.model_copy(update=before) if before else job


def explain(job: Job, wishes: Wishes, watch: Watch, masks_only: bool) -> None:
    """Refuse what cannot work before any weights are loaded, and say what will be used."""
    segmenter = segmenter_of(job)
    split_name(segmenter)  # an unknown one is refused here
    # What the job itself asks; a bad row of a prompts file fails its own picture.
    for prompt in (*wishes.all.prompts, *protection.phrases(job.protect)):
        if reason := objection(segmenter, prompt):
            raise UsageError(reason)
    if masks_only:
        return
    choice = chosen(job)
    if choice.method != "auto":
        watch.say(f"{f'{job.model}: ' if choice.uses_weights else ''}{choice.method} ({choice.reason})")
    if segmenter == "bundled" and choice.uses_weights:
        watch.say("the bundled models know only the sample scenes; on photos they find and fill poorly")


def chosen(job: Job) -> Choice:
    """The checkpoint and method of a job. Raises UsageError for what cannot be done."""
    try:
        choice = choose(job.model, job.method, job.revision or None, offline=True, prompt=job.prompt)
        if choice.uses_weights:
            license = license_before(choice.checkpoint, offline=True)
            refuse_unaccepted(choice.checkpoint.repo, license, job.accept_license)
        return choice
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(str(error)) from error


def _last_words(job: Job, manifest: Manifest) -> str:
    """What a run says that ends itself because a call hangs."""
    names = manifest.journal.hangs()
    others = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (
        f"nothing was finished for {job.hang_timeout:g} seconds a picture, and so this run ends itself, at work on "
        f"{readable(', '.join(names[:3]))}{others}; the same command goes on, and takes these last, each alone. "
        "If they are only slow, give --hang-timeout more seconds"
    )


def _left_out(there: Survey) -> list[str]:
    """What to say of things that are no pictures. Raises UsageError where there is nothing else."""
    said = []
    if there.unread:
        not_read = f"files that are not read: {unread.in_words(there.unread)}; {unread.AS_PICTURES}"
        if not there.all:
            raise UsageError(f"there is no picture, but {not_read}")
        said.append(not_read)
    if there.others:
        name = min(there.others)
        said.append(f"{len(there.others)} left out, such as {name}: {there.others[name]}")
    for name, reason in sorted(there.barred.items()):
        said.append(f"{name} cannot be done: {reason}")
    if there.links:
        said.append(f"{len(there.links)} links to folders are not followed, such as {min(there.links)}")
    return said


def _too_many(job: Job, summary: Summary) -> TooManyFailures | None:
    failed = summary.done["failed"]
    if failed <= job.failures_allowed(summary.tried):
        return None
    return TooManyFailures(
        f"{failed} of {summary.tried} pictures failed, more than --max-failures {job.max_failures} allows; "
        f"`cleanplate status {job.target}` says why"
    )
