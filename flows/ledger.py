"""The manifest's file: SQLite, opened to be written, or copied to be looked at."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from flows import journal, overrides
from flows.folder import PRIVATE

LEDGER = f"{PRIVATE}/manifest.sqlite"
SCHEMA = """
create table if not exists pictures (
    name blob primary key, status text, size integer, mtime integer, wanted text, settings text, out_size integer,
    row text
);
create table if not exists facts (key text primary key, value text);
"""
LATER = ("mask_size integer", "mask_mtime integer", "mask_sha text", "round integer")  # columns that came after


def opened(target: Path, only_look: bool = False) -> sqlite3.Connection:
    """The ledger of a target, with every table and column; one of an earlier version is widened.

    With `only_look` it is a copy in memory: not a byte is written beside the file. Raises OSError or sqlite3.Error.
    """
    file = target / LEDGER
    ledger = _copy(file) if only_look else sqlite3.connect(file, check_same_thread=False)
    ledger.executescript(
        "pragma journal_mode=wal; pragma synchronous=full;" + SCHEMA + overrides.SCHEMA + journal.SCHEMA
    )
    there = {row[1] for row in ledger.execute("pragma table_info(pictures)")}
    for column in LATER:
        if column.split()[0] not in there:
            ledger.execute(f"alter table pictures add column {column}")
    return ledger


def _copy(file: Path) -> sqlite3.Connection:
    whole = sqlite3.connect(":memory:")
    with tempfile.TemporaryDirectory(prefix="cleanplate-") as place:
        log = file.with_name(f"{file.name}-wal")
        mode = "ro&immutable=1"
        if log.exists():  # left by a run that died; SQLite would take it up where it lies
            mode, file = "rw", Path(shutil.copy(file, place))
            shutil.copy(log, place)
        with closing(sqlite3.connect(f"file:{quote(os.fsencode(file))}?mode={mode}", uri=True)) as ledger:
            ledger.backup(whole)
    return whole
