"""The row of a published file, and the removal of files that no row names any longer."""

from __future__ import annotations

import json
import sqlite3

from flows.outcome import Outcome
from flows.places.target import Target


def remove_published(rows: sqlite3.Connection, target: Target, before: Outcome | None, now: Outcome) -> None:
    """Remove the file that a picture's earlier row named, unless its new row or another row names it."""
    if before and before.file_name not in (None, now.file_name) and row_of(rows, str(before.file_name)) is None:
        target.remove(str(before.file_name))


def row_of(rows: sqlite3.Connection, file_name: str) -> Outcome | None:
    """The row of a published file, such as images/a.png of a source a.jpg."""
    found = rows.execute("select row from pictures where json_extract(row, '$.file_name') = ?", (file_name,)).fetchone()
    return Outcome.of(json.loads(found[0])) if found else None
