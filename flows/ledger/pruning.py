"""Results that are taken away: of pictures that left the source, and those in the container of an earlier run."""

from __future__ import annotations

import json
import os
import sqlite3
from typing import TYPE_CHECKING

from flows.outcome import Outcome
from flows.places.folder import Folder, mask_name, pending_mask_name
from flows.steps.unpainted import forget

if TYPE_CHECKING:
    from flows.ledger.manifest import Manifest


def prune(manifest: Manifest, folder: Folder, present: set[str]) -> int:
    """Take away the results and rows of every picture that is not among the names in `present`. Returns how many.

    A row goes first: what a killed run leaves behind is then a file that nobody tells of, and no row that lies.
    """
    gone, told = [], {folder.image_name(name) for name in present}
    for outcome in manifest.outcomes(None):
        if outcome.source in present:
            told.add(outcome.file_name or "")
        else:
            gone.append(outcome)
    for outcome in gone:
        with manifest.file:
            manifest.file.execute("delete from pictures where name = ?", (os.fsencode(outcome.source),))
        if outcome.file_name and outcome.file_name not in told:
            folder.remove(outcome.file_name)
        folder.remove(mask_name(outcome.source))
        folder.remove(pending_mask_name(outcome.source))
        forget(folder, outcome)
    return len(gone)


def remove_published(rows: sqlite3.Connection, folder: Folder, before: Outcome | None, now: Outcome) -> None:
    """Take away what a row told of until now where it tells of another file, unless another row tells of it."""
    if before and before.file_name not in (None, now.file_name) and row_of(rows, str(before.file_name)) is None:
        folder.remove(str(before.file_name))


def row_of(rows: sqlite3.Connection, file_name: str) -> Outcome | None:
    """The row that tells of a published file, such as images/a.png of a source a.jpg."""
    found = rows.execute("select row from pictures where json_extract(row, '$.file_name') = ?", (file_name,)).fetchone()
    return Outcome(**json.loads(found[0])) if found else None
