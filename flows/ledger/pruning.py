"""--prune: removes the results of pictures that left the source."""

from __future__ import annotations

import os

from flows.ledger.journal import TABLES as JOURNAL
from flows.ledger.manifest import Manifest
from flows.ledger.overrides import TABLES as OVERRIDES
from flows.places.target import Target


def prune(manifest: Manifest, target: Target, present: set[str]) -> int:
    """Remove all files of the pictures that are not in `present`. Returns how many pictures.

    Includes pictures in progress when a run died. The files go first and the row last, so that a killed run's leftovers
    are found again.
    """
    published, told = _published(manifest, target, present)
    gone = (published.keys() | manifest.journal.suspects().keys()) - present
    if gone:
        manifest.mark_records_stale()
    for name in sorted(gone):
        target.remove_picture(name, published.get(name, ()), told)
        with manifest.file:
            for table in ("pictures", *OVERRIDES, *JOURNAL):
                manifest.file.execute(f"delete from {table} where name = ?", (os.fsencode(name),))
    if gone:
        manifest.file.execute("vacuum")  # otherwise deleted rows would stay in its free pages
        manifest.file.execute("pragma wal_checkpoint(truncate)")
    return len(gone)


def _published(manifest: Manifest, target: Target, present: set[str]) -> tuple[dict[str, list[str]], set[str]]:
    """The published paths of each picture with a row, and the current or future paths of those in `present`."""
    published: dict[str, list[str]] = {}
    told = {target.image_name(name) for name in present}
    for outcome in manifest.outcomes(None):
        published[outcome.source] = [outcome.file_name] if outcome.file_name else []
        if outcome.source in present:
            told.update(published[outcome.source])
    return published, told
