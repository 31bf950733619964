"""A reviewer's decisions: accept, reject or keep, a note, clicks, edits of the mask. Read from untrusted files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from flows.errors import UsageError
from flows.job import Job
from flows.ledger.manifest import Manifest
from flows.ledger.overrides import click, unclick
from flows.ledger.result_file import deliver, refuse_another
from flows.ledger.shards import refuse_unmerged
from flows.ledger.tables import LEDGER
from flows.outcome import KEPT, Outcome
from flows.page.report import opened_source
from flows.places.folders import open_folders
from flows.places.target import Target
from flows.records import card as cards
from flows.records import rebuild
from flows.requests.prompt_rows import plain, shapes
from flows.review import edited_masks
from flows.review.kept import give_back, keep
from flows.review.mask_edits import Edit, read_edits
from flows.settings.job_file import job_of

REVIEWS = ("accept", "reject", "keep", None)
LONGEST_NOTE = 10_000  # characters


@dataclass(frozen=True)
class Decision:
    """The whole decision on one picture, which replaces an earlier one.

    `keep` restores the original in place of the result. `points` and `boxes` say where to look in a redo, `mask` how
    its mask is edited (None: no statement). Coordinates are pixels of the upright picture; `line` is where it was read.
    """

    file_name: str
    review: str | None = None
    note: str | None = None
    points: tuple[tuple[float, ...], ...] = ()
    boxes: tuple[tuple[float, ...], ...] = ()
    line: int = 0
    mask: tuple[Edit, ...] | None = None


def read_decisions(data: str) -> list[Decision]:
    """The decisions of a decisions.jsonl. Raises ValueError with the line number for an invalid row."""
    found = []
    for number, line in enumerate(data.removeprefix("\ufeff").split("\n"), 1):
        if not line.strip():
            continue
        try:
            found.append(_decision(json.loads(line), number))
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"decisions, line {number}: {plain(error)}") from error
    return found


def apply(target: Path, decisions: Iterable[Decision], say: Callable[[str], None] = lambda _: None) -> int:
    """Write decisions into the rows of a target.

    Returns how many pictures were decided. Decisions that cannot be applied, such as one for a picture without a row,
    are left out and reported. Raises UsageError if the target holds no result, Busy while a run holds it.
    """
    if not (target / LEDGER).exists() and not (target / "metadata.jsonl").exists():
        refuse_unmerged(target)
        raise UsageError(f"{target} holds no Cleanplate result (no {LEDGER})")
    place = Target.existing(target)
    with rebuild.opened(place, say) as manifest:
        manifest.tidy(place)  # a killed run leaves the masks of its last rows elsewhere, and edits are made to those
        listed = {row["source"] for row in cards.read_rows(target)} if manifest.rows_in_records() is not None else None
        decided: set[str] = set()
        manifest.mark_records_stale()
        with manifest.file:
            for decision in decisions:
                try:
                    decided.add(_applied(place, manifest, decision))
                except ValueError as error:
                    say(f"decisions, line {decision.line}: {error}; left out")
        counts, _ = cards.write_rows(place, manifest.outcomes(listed))
        manifest.mark_records_written(counts.total())
    return len(decided)


def _applied(target: Target, manifest: Manifest, decision: Decision) -> str:
    """Apply one decision. Returns the name of its picture. Raises ValueError, with a message, if that is impossible."""
    outcome = manifest.outcome(decision.file_name)
    if outcome is None:
        raise ValueError(f"there is no picture {decision.file_name!r}")
    if far := _outside(decision, outcome):
        raise ValueError(far)
    if (decision.review == "keep") != (outcome.reason == KEPT):
        outcome = _kept_or_given_back(target, manifest, decision, outcome)
    if decision.mask is not None and decision.review != "keep":
        edited_masks.edit(target, partial(opened_source, target.root), outcome, decision.mask)
        if decision.mask:
            unclick(manifest.file, outcome.source)
    review = "accept" if decision.review == "keep" else decision.review
    manifest.amend(replace(outcome, review=review, note=decision.note))
    click(manifest.file, outcome.source, decision.points, decision.boxes)
    return outcome.source


def _kept_or_given_back(target: Target, manifest: Manifest, decision: Decision, outcome: Outcome) -> Outcome:
    """Keep the original of a picture, or put its result back; also where the two of them are one file each."""
    job = _job_of(target)
    try:
        folders = open_folders(job.source, job.target, job.format)
    except ValueError as error:
        if decision.review == "keep":
            raise ValueError(f"the original of {outcome.source!r} cannot be kept: {error}") from error
        return give_back(manifest, target, None, job, outcome)
    refuse_another(manifest, folders)
    if decision.review == "keep":
        made = keep(manifest, folders, job, outcome, decision.note)
    else:
        made = give_back(manifest, folders.target, folders.source, job, outcome)
    deliver(manifest, folders)
    return made


def _job_of(target: Target) -> Job:
    if not target.has("job.toml"):  # written at a run's end
        raise ValueError("the run into this target was interrupted; finish it with the same command, then decide again")
    return job_of(str(target.path("job.toml")), {"target": str(target.root)})


def _decision(row: Any, line: int) -> Decision:
    if not isinstance(row, dict) or not isinstance(row.get("file_name"), str):
        raise ValueError('a decision is an object with "file_name" and "review"')
    review, note = row.get("review"), row.get("note")
    if review not in REVIEWS:
        raise ValueError(f'"review" is "accept", "reject", "keep" or null, not {review!r}')
    if note is not None and (not isinstance(note, str) or len(note) > LONGEST_NOTE):
        raise ValueError(f'"note" is a text of up to {LONGEST_NOTE} characters')
    request, mask = shapes(row, line), None
    if row.get("mask") is not None:
        mask = read_edits(row["mask"])
        if mask and (request.points or request.boxes):
            raise ValueError('"mask" says what goes, "points" and "boxes" where it is looked for: give one of these')
    return Decision(row["file_name"], review, note or None, request.points, request.boxes, line, mask)


def _outside(decision: Decision, outcome: Outcome) -> str | None:
    """A message about a point or box outside the picture; None if all are inside, or if its size is unknown."""
    width, height = outcome.width, outcome.height
    if not width or not height:
        return None
    size = f"outside {decision.file_name!r} of {width}×{height} pixels"
    for x, y, *_ in decision.points:
        if not (0 <= x < width and 0 <= y < height):
            return f"point {x:g},{y:g} lies {size}"
    for left, top, right, bottom in decision.boxes:
        if left >= width or top >= height or right <= 0 or bottom <= 0:
            return f"box {left:g},{top:g},{right:g},{bottom:g} lies {size}"
    return None
