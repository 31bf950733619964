"""What a reviewer decided: accept, reject, a note, where the object is. Read from strangers' files, kept in rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flows.errors import UsageError
from flows.ledger.overrides import click
from flows.ledger.tables import LEDGER
from flows.outcome import Outcome
from flows.places.target import Target
from flows.records import card as cards
from flows.records import rebuild
from flows.requests.prompt_rows import plain, shapes

REVIEWS = ("accept", "reject", None)
LONGEST_NOTE = 10_000  # characters


@dataclass(frozen=True)
class Decision:
    """One picture's decision, whole: it replaces an earlier one. `points` and `boxes` say where to find it if redone.

    Coordinates are pixels of the upright picture; `line` is where it was read.
    """

    file_name: str
    review: str | None = None
    note: str | None = None
    points: tuple[tuple[float, ...], ...] = ()
    boxes: tuple[tuple[float, ...], ...] = ()
    line: int = 0


def read_decisions(data: str) -> list[Decision]:
    """The decisions of a decisions.jsonl. Raises ValueError with the line number for a row that is none."""
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
    """Write decisions into the rows of a target. Returns how many pictures were decided.

    What cannot be applied, such as one for a picture that has no row, is left out and said. Raises UsageError when the
    target holds no result, Busy when a run has it.
    """
    if not (target / LEDGER).exists() and not (target / "metadata.jsonl").exists():
        raise UsageError(f"{target} holds no Cleanplate result (no {LEDGER})")
    with rebuild.opened(Target.existing(target), say) as manifest:
        listed = {row["source"] for row in cards.read_rows(target)} if manifest.rows_in_records() is not None else None
        decided: dict[str, Outcome] = {}
        manifest.mark_records_stale()
        with manifest.file:
            for decision in decisions:
                outcome = manifest.outcome(decision.file_name)
                if outcome is None:
                    say(f"decisions, line {decision.line}: there is no picture {decision.file_name!r}; left out")
                elif far := _outside(decision, outcome):
                    say(f"decisions, line {decision.line}: {far}; left out")
                else:
                    manifest.amend(replace(outcome, review=decision.review, note=decision.note))
                    click(manifest.file, outcome.source, decision.points, decision.boxes)
                    decided[outcome.source] = outcome
        counts, _ = cards.write_rows(Target.existing(target), manifest.outcomes(listed))
        manifest.mark_records_written(counts.total())
    return len(decided)


def _decision(row: Any, line: int) -> Decision:
    if not isinstance(row, dict) or not isinstance(row.get("file_name"), str):
        raise ValueError('a decision is an object with "file_name" and "review"')
    review, note = row.get("review"), row.get("note")
    if review not in REVIEWS:
        raise ValueError(f'"review" is "accept", "reject" or null, not {review!r}')
    if note is not None and (not isinstance(note, str) or len(note) > LONGEST_NOTE):
        raise ValueError(f'"note" is a text of up to {LONGEST_NOTE} characters')
    request = shapes(row, line)
    return Decision(row["file_name"], review, note or None, request.points, request.boxes, line)


def _outside(decision: Decision, outcome: Outcome) -> str | None:
    """Which point or box does not lie in the picture, in words; None where all do, or its size is not known."""
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
