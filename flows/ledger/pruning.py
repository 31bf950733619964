"""Results that are taken away: of pictures that left the source, and those in the container of an earlier run."""

from __future__ import annotations

import json
import os
import sqlite3
from typing import TYPE_CHECKING

from flows.ledger.journal import TABLES as JOURNAL
from flows.ledger.overrides import TABLES as OVERRIDES
from flows.outcome import Outcome
from flows.places.folder import Folder

if TYPE_CHECKING:
    from flows.ledger.manifest import Manifest


def prune(manifest: Manifest, folder: Folder, present: set[str]) -> int:
    """Take away everything there is of a picture that is not among the names in `present`. Returns how many.

    Also of what was in progress when a run died. The files go first and the row last: what a killed run leaves behind
    is then found again.
    """
    published, told = _published(manifest, folder, present)
    gone = (published.keys() | manifest.journal.suspects().keys()) - present
    if gone:
        manifest.publishes(-1)
    for name in sorted(gone):
        folder.remove_picture(name, published.get(name, ()), told)
        with manifest.file:
            for table in ("pictures", *OVERRIDES, *JOURNAL):
                manifest.file.execute(f"delete from {table} where name = ?", (os.fsencode(name),))
    if gone:
        manifest.file.execute("vacuum")  # or earlier rows would still be in its free pages
        manifest.file.execute("pragma wal_checkpoint(truncate)")
    return len(gone)


def _published(manifest: Manifest, folder: Folder, present: set[str]) -> tuple[dict[str, list[str]], set[str]]:
    """What each picture with a row was published as, and what those in `present` are or would be."""
    published: dict[str, list[str]] = {}
    told = {folder.image_name(name) for name in present}
    for outcome in manifest.outcomes(None):
        published[outcome.source] = [outcome.file_name] if outcome.file_name else []
        if outcome.source in present:
            told.update(published[outcome.source])
    return published, told


def remove_published(rows: sqlite3.Connection, folder: Folder, before: Outcome | None, now: Outcome) -> None:
    """Take away what a row told of until now where it tells of another file, unless another row tells of it."""
    if before and before.file_name not in (None, now.file_name) and row_of(rows, str(before.file_name)) is None:
        folder.remove(str(before.file_name))


def row_of(rows: sqlite3.Connection, file_name: str) -> Outcome | None:
    """The row that tells of a published file, such as images/a.png of a source a.jpg."""
    found = rows.execute("select row from pictures where json_extract(row, '$.file_name') = ?", (file_name,)).fetchone()
    return Outcome.of(json.loads(found[0])) if found else None
