"""Checks before any weights are loaded: first with nothing touched, then against the target."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flows.errors import UsageError
from flows.job import Job
from flows.ledger import due
from flows.ledger.beside import refuse_beside
from flows.ledger.manifest import Manifest
from flows.ledger.mirror import mirror
from flows.ledger.result_file import refuse_another
from flows.ledger.shards import Shard, parse_shard
from flows.messages.counts import many
from flows.places import unread
from flows.places.folders import Folders, open_folders
from flows.places.one_file import to_one_file
from flows.places.survey import Survey
from flows.places.target import Target
from flows.records import card as cards
from flows.records import rebuild
from flows.requests.job_requests import Requests, read_requests, without_a_partner, without_masks
from flows.settings.own_code import refuse_unnamed
from flows.steps import protection
from flows.steps.find_masks import segmenter_of
from flows.steps.introduction import why_this
from flows.steps.needed_weights import in_words, missing, refuse_unreachable, slow_here
from masks.segmenters import is_code, load_segmenter, objection, split_name
from removal import Choice, choose
from removal.checkpoints.fetch import license_before
from removal.weights.licenses import refuse_unaccepted

Say = Callable[[str], None]


@dataclass(frozen=True)
class Task:
    """A job that passed the checks: its folders, its requests, and its pictures.

    `whole` is everything in the source, `there` the share that `shard` (None: all) is to do.
    """

    job: Job
    folders: Folders
    requests: Requests
    whole: Survey
    there: Survey
    shard: Shard | None
    masks_only: bool

    @property
    def present(self) -> set[str] | None:
        """The names in the records; None for all rows of the ledger."""
        return None if self.folders.source.single else self.there.all


def preflight(job: Job, say: Say, masks_only: bool = False) -> Task:
    """The task of a job. Touches nothing. Raises UsageError or ValueError for a job that cannot work."""
    job = to_one_file(job)
    folders = open_folders(job.source, job.target, job.format)
    if folders.source.single and (job.prune or job.copy_others):
        raise UsageError("prune and copy-others are for a whole folder, not for one picture of it")
    if folders.is_far and (job.shard or job.copy_others):
        raise UsageError("shard and copy-others are for folders of this machine, not for a store")
    job = job if masks_only else _remembered(job, folders.target)
    requests = read_requests(job)
    explain(job, requests, say, masks_only)
    whole, shard = without_masks(folders.survey(), folders.source.root, requests), parse_shard(job.shard)
    requests = requests.among(lambda: whole.names)
    for message in (*without_a_partner(requests), *_left_out(whole)):
        say(message)
    return Task(job, folders, requests, whole, shard.deal(whole) if shard else whole, shard, masks_only)


@contextmanager
def opened(task: Task, say: Say, only_look: bool = False) -> Iterator[Manifest]:
    """The ledger of a task's target, locked unless `only_look`. Raises UsageError and Busy.

    A dead run's leftovers are cleaned up, and a lost ledger is rebuilt.
    """
    folders = task.folders
    with (
        mirror(folders.target, only_look),
        folders.target.listed(),
        rebuild.opened(folders.target, say, only_look, task.shard) as manifest,
    ):
        refuse_another(manifest, folders)
        refuse_beside(task.job, folders.target.root)
        if not task.whole.all and not manifest.is_empty():
            raise UsageError(f"{task.job.source} holds no pictures, but its target has rows; is it mounted?")
        if not only_look:
            manifest.tidy(folders.target)
        yield manifest


def due_of(task: Task, manifest: Manifest) -> list[str]:
    """The names to do, after checking the job against its target. Raises UsageError."""
    job, names = task.job, task.there.names
    manifest.settings.refuse(job)
    rebuild.complete(manifest, task.folders, names, task.requests, job)
    manifest.settings.adopt(job, task.masks_only)
    waiting = list(due.waiting(manifest, task.folders, names, task.requests, job, task.masks_only))
    if job.existing == "error" and len(waiting) < len(names):
        raise UsageError(
            f"{many(len(names) - len(waiting), 'finished picture')} in {job.target}, and existing is 'error'"
        )
    return waiting


def refuse_missing_weights(task: Task, manifest: Manifest, names: list[str], say: Say) -> None:
    """Say what has to be fetched first, and what will be slow. Raises EnvironmentFault if weights cannot be fetched."""
    lacking = missing(task.job, task.masks_only)
    if any(one.finds for one in lacking):
        ready = due.masked(manifest, task.folders, names, task.requests, task.job)
        lacking = [one for one in lacking if not one.finds or len(ready) < len(names)]
    if lacking:
        refuse_unreachable(task.job, lacking)
        say(in_words(lacking))
    if not task.masks_only and (slow := slow_here(task.job)):
        say(slow)


def _remembered(job: Job, target: Target) -> Job:
    """The job itself, or, if it does not say what to remove, with the request of the earlier `masks` on its target."""
    said = job.text or job.point or job.box or job.prompts or job.coco or job.masks or job.protect
    before = None if said else cards.read_job(target)
    return job.model_copy(update=before) if before else job


def explain(job: Job, requests: Requests, say: Say, masks_only: bool) -> None:
    """Refuse what cannot work before any weights are loaded, and say what may surprise."""
    segmenter = segmenter_of(job)
    split_name(segmenter)  # an unknown one is refused here
    refuse_unnamed(segmenter)
    if is_code(segmenter):
        load_segmenter(segmenter)  # fails here, before anything is touched, if it cannot be imported
    # The job's own prompts; a bad row of a prompts file fails only its own picture.
    for prompt in (*requests.all.prompts, *protection.phrases(job.protect)):
        if reason := objection(segmenter, prompt):
            raise UsageError(reason)
    if masks_only:
        return
    choice = chosen(job)
    if why := why_this(job, choice):
        say(why)
    if segmenter == "bundled" and choice.uses_weights:
        say("the bundled models know only the sample scenes; on photos they find and fill poorly")


def chosen(job: Job) -> Choice:
    """The checkpoint and method of a job. Raises UsageError for an impossible choice."""
    try:
        choice = choose(job.model, job.method, job.revision or None, offline=True, prompt=job.prompt)
        if choice.uses_weights:
            license = license_before(choice.checkpoint, offline=True)
            refuse_unaccepted(choice.checkpoint.repo, license, job.accept_license)
        return choice
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(str(error)) from error


def _left_out(there: Survey) -> list[str]:
    """Messages about files that are not pictures. Raises UsageError if there is nothing else."""
    said = []
    if there.unread:
        not_read = f"files that are not read: {unread.in_words(there.unread)}; {unread.AS_PICTURES}"
        if not there.all:
            raise UsageError(f"there is no picture, but {not_read}")
        said.append(not_read)
    if there.rejected:
        name = min(there.rejected)
        said.append(f"{len(there.rejected)} left out, such as {name}: {there.rejected[name]}")
    for name, reason in sorted(there.barred.items()):
        said.append(f"{name} cannot be done: {reason}")
    if there.links:
        said.append(f"not followed: {many(len(there.links), 'link')} to folders, such as {min(there.links)}")
    return said
