"""The second pass: does rejected, failed and doubtful pictures again, without losing earlier results."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flows.errors import UsageError
from flows.finish import conclude
from flows.formats.encoding import encode_image
from flows.formats.pictures import decode
from flows.job import NO_EFFECT_ON_PIXELS, Job
from flows.ledger import due, journal, staging
from flows.ledger.entry import Fingerprint
from flows.ledger.manifest import Manifest
from flows.ledger.overrides import Override, done, overrides, plan, planned, use
from flows.ledger.result_file import refuse_another
from flows.outcome import BY_HAND, Outcome, digest
from flows.places.folders import Folders, open_folders
from flows.places.layout import STAGE, files_of
from flows.places.survey import Survey
from flows.places.target import Target
from flows.portions import HERE, Steps, Work, outcomes
from flows.preflight import explain
from flows.records import card as cards
from flows.records import rebuild
from flows.requests.job_requests import Requests, read_requests
from flows.run import SILENT, Summary, Watch
from flows.samples.comparison import SayOnce
from flows.settings.job_file import job_of
from flows.steps.attempts import archive
from flows.steps.introduction import introduction
from flows.threads.interrupts import interrupted

KINDS = ("rejected", "failed", "doubtful")
CLICKED = f"{STAGE}/clicked.jsonl"


@dataclass(frozen=True)
class Redo:
    """The common parts of a redo.

    `job` made the target; `given` are the settings of the redo; `held` are earlier overrides of single pictures;
    `drawn` are the pictures whose masks were made by hand.
    """

    job: Job
    given: dict[str, Any]
    folders: Folders
    stage: Folders
    manifest: Manifest
    requests: Requests
    held: dict[str, Override]
    drawn: frozenset[str] = frozenset()

    @property
    def lasting(self) -> dict[str, Any]:
        """The given settings that affect pixels, which stay with the pictures that are done with them."""
        return {key: value for key, value in self.given.items() if key in cards.WHAT or key not in NO_EFFECT_ON_PIXELS}

    def changes(self, name: str) -> tuple[str, bool]:
        """A picture's settings that differ from the job's, as JSON, and True if its clicks say what to find."""
        before = self.held.get(name, Override())
        again = any(key in self.given for key in cards.WHAT)  # the redo says what to find
        drawn = name in self.drawn and not (again or before.pending)  # then nothing is looked for
        clicked = before.pending or (before.clicked and not again and not drawn)
        old = {key: value for key, value in before.settings.items() if not ((again or drawn) and key in cards.WHAT)}
        return json.dumps(old | self.lasting, sort_keys=True), clicked

    def attempt(self, before: Outcome) -> int:
        """The number of a picture's next attempt, above all there have been."""
        place = self.folders.target.path(files_of(before.source).attempts)
        numbers = [int(file.stem) for file in place.glob("*.json") if file.stem.isdigit()] if place.exists() else []
        return 1 + max([before.attempt or 1, self.held.get(before.source, Override()).attempts, *numbers])


def redo(
    target: Path,
    only: frozenset[str] = frozenset(KINDS),
    given: dict[str, Any] | None = None,
    watch: Watch = SILENT,
    steps: Steps = HERE,
) -> Summary:
    """Do again the pictures of a target that were rejected, failed or are doubtful and not accepted.

    The job is the target's own, but for the settings `given`, which stay with these pictures: a later `run` finds them
    finished. Where a picture was clicked, it is looked for there. The earlier result stays published until there is
    another, and is archived then; it stays as well when the redo fails. The same call goes on after an interruption.
    Raises UsageError or ValueError before anything is touched, Busy when a run holds the target, EnvironmentFault.
    """
    given = given or {}
    job = _job_of(target, only, given)
    folders, requests = open_folders(job.source, job.target, job.format), read_requests(job)
    there = folders.survey()
    requests = requests.among(lambda: there.names)
    with rebuild.opened(folders.target, watch.say) as manifest:
        refuse_another(manifest, folders)
        manifest.settings.refuse(job)
        rebuild.complete(manifest, folders, there.names, requests, job)
        manifest.tidy(folders.target)
        stage = open_folders(job.source, staging.stage_of(target), job.format)
        task = Redo(job, given, folders, stage, manifest, requests, overrides(manifest.file))
        waiting = _waiting(task, only, there.names)[: given.get("limit") or None]
        task = replace(task, drawn=_drawn(task, waiting))
        groups = _groups(task, waiting, watch)
        watch.begin(len(waiting), len(there.names) - len(waiting))
        summary = Summary(pictures=len(there.all))
        with _recorded(task, there, summary, bool(waiting)):
            for own, names in groups:
                for outcome in _done(task, own, names, steps):
                    summary.add(outcome)
                    watch.did(outcome)
            summary.interrupted = interrupted() and summary.tried < len(waiting)
    return summary


def _job_of(target: Path, only: frozenset[str], given: dict[str, Any]) -> Job:
    """The job that made a target. Raises UsageError for a redo that is not possible."""
    if unknown := only - set(KINDS):
        raise UsageError(f"a redo takes {', '.join(KINDS)}, not {', '.join(sorted(unknown))}")
    if "format" in given:
        raise UsageError("a target has one format; leave out --format")
    list(cards.read_rows(target))  # raises for a target without a result
    return job_of(str(target / "job.toml"), {"target": str(target)})


@contextmanager
def _recorded(task: Redo, there: Survey, summary: Summary, begins: bool) -> Iterator[None]:
    """Publish staged pictures and write the records after the work, however it ends."""
    if begins:
        task.manifest.mark_records_stale()
    try:
        yield
    finally:
        staging.end_moves(task.folders.target, task.manifest.outcome)
        present = None if task.folders.source.single else there.all
        summary.counts, summary.doubtful = conclude(task.job, task.folders, task.manifest, present)


def _waiting(task: Redo, only: frozenset[str], names: list[str]) -> list[str]:
    """The pictures to do: the rest of an interrupted redo of the same kind, or all of that kind."""
    present, this = set(names), digest([sorted(only), task.lasting])
    if left := planned(task.manifest.file, this) & present:
        return sorted(left)
    chosen = [
        outcome.source
        for outcome in task.manifest.outcomes(present)
        if only & _kinds(outcome, task.held.get(outcome.source, Override()))
    ]
    plan(task.manifest.file, this, chosen)
    return chosen


def _kinds(outcome: Outcome, held: Override) -> set[str]:
    """The kinds of redo that a picture belongs to; none for an accepted one."""
    if outcome.review == "accept":
        return set()
    kinds = {
        "rejected": outcome.review == "reject" or held.pending,
        "failed": outcome.status == "failed",
        "doubtful": outcome.verdict == "doubtful",
    }
    return {kind for kind, holds in kinds.items() if holds}


def _drawn(task: Redo, waiting: list[str]) -> frozenset[str]:
    """The pictures to do again with masks made by hand, however their earlier masks were found."""
    ready = due.masked(task.manifest, task.folders, waiting, task.requests, task.job)
    return frozenset(name for name, outcome in ready.items() if outcome.segmenter == BY_HAND)


def _groups(task: Redo, waiting: list[str], watch: Watch) -> list[tuple[Job, list[str]]]:
    """Groups of pictures that share settings, with their jobs. Refuses impossible jobs before any work."""
    groups: dict[tuple[str, bool], list[str]] = {}
    for name in waiting:
        groups.setdefault(task.changes(name), []).append(name)
    clicked = [name for (_, points), names in groups.items() if points for name in names]
    rows = [{"file_name": n, "points": task.held[n].points, "boxes": task.held[n].boxes} for n in clicked]
    task.folders.target.write(CLICKED, "".join(json.dumps(row) + "\n" for row in rows).encode())
    found, once = [], SayOnce(watch.say)
    for (changes, points), names in groups.items():
        own = _job(task, json.loads(changes), points)
        explain(own, read_requests(own), once, masks_only=False)
        once(introduction(own))
        found.append((own, names))
    return found


def _job(task: Redo, changes: dict[str, Any], clicked: bool) -> Job:
    """The job of pictures with these settings, on the stage; new prompts replace all of the job's."""
    said = clicked or any(key in changes for key in cards.WHAT)
    nothing = {key: Job.model_fields[key].get_default() for key in cards.WHAT} if said else {}
    once = {key: value for key, value in task.given.items() if key not in task.lasting}
    settings = task.job.model_dump() | nothing | changes | once | (nothing if clicked else {})
    place = {"target": str(task.stage.target.root), "existing": "skip", "limit": 0}
    return job_of("", settings | place | ({"prompts": str(task.folders.target.path(CLICKED))} if clicked else {}))


def _done(task: Redo, own: Job, names: list[str], steps: Steps) -> Iterator[Outcome]:
    """Do the pictures of one group on the stage. Yields each outcome once it is committed and published."""
    requests = read_requests(own).among(task.requests.names)
    before = {name: outcome for name in names if (outcome := task.manifest.outcome(name))}
    for name in due.masked(task.manifest, task.folders, names, requests, own):  # masks made by hand are used again
        task.stage.target.write(files_of(name).mask, task.folders.target.read(files_of(name).mask))

    def numbered(job: Job, masked: list[Outcome]) -> Iterator[Outcome]:
        yield from steps.remove(job, [replace(one, attempt=task.attempt(before[one.source])) for one in masked])

    work = Work(own, task.stage, task.manifest, requests, replace(steps, remove=numbered))
    for outcome, fingerprint in outcomes(work, names):
        numbered_so = replace(outcome, attempt=max(outcome.attempt or 1, task.attempt(before[outcome.source])))
        _commit(task, before[outcome.source], numbered_so, fingerprint)
        yield numbered_so


def _commit(task: Redo, before: Outcome, outcome: Outcome, fingerprint: Fingerprint) -> None:
    """Replace an earlier result, which is archived; a failure does not replace a published result."""
    name, manifest, number = outcome.source, task.manifest, outcome.attempt or 1
    changes, clicked = task.changes(name)

    def note(file: sqlite3.Connection, name: str) -> None:
        done(file, name, number, json.loads(changes))
        if clicked:
            use(file, name)

    if outcome.failed and before.file_name:
        kept = replace(before, reason=f"{before.reason or before.status}; attempt {number} failed: {outcome.reason}")
        with manifest.file:
            manifest.amend(kept)
            journal.forget(manifest.file, name)
            done(manifest.file, name, number, task.held.get(name, Override()).settings)
        return
    _archive(task.folders.target, before)
    files = files_of(name)
    if task.folders.target.has(files.staged().pending_mask):
        task.folders.target.move(files.staged().pending_mask, files.pending_mask)
    staged = task.stage.target.path(outcome.file_name) if outcome.file_name else None
    of_the_job = replace(fingerprint, wanted=task.requests.of(name).key)
    manifest.record(task.folders.target, outcome, of_the_job, task.job, staged, note)
    staging.publish(task.folders.target, outcome)
    task.folders.target.clear(files.decided)


def _archive(target: Target, before: Outcome) -> None:
    """Archive a published result, unless a dead redo has done so already."""
    if before.status != "removed" or not before.file_name or not before.mask_file_name:
        return
    row = f"{files_of(before.source).attempts}/{before.attempt or 1}.json"
    before_edits = files_of(before.source).mask_before  # it was painted under that one
    picture = target.path(before.file_name)
    mask = target.path(before_edits if target.has(before_edits) else before.mask_file_name)
    if target.has(row) or not picture.exists() or not mask.exists():
        return
    data = picture.read_bytes()
    archive(target, before, data if data[:4] == b"\x89PNG" else encode_image(decode(data).image), mask.read_bytes())
