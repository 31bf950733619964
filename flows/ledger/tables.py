"""The manifest's file: SQLite, opened for writing, or copied for reading."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from flows.ledger import journal, overrides
from flows.ledger.shards import Shard
from flows.places.disk import write_whole
from flows.places.layout import PRIVATE

LEDGER = f"{PRIVATE}/manifest.sqlite"
SCHEMA = """
create table if not exists pictures (
    name blob primary key, status text, size integer, mtime integer, wanted text, settings text, out_size integer,
    row text
);
create table if not exists facts (key text primary key, value text);
"""
LATER = ("mask_size integer", "mask_mtime integer", "mask_sha text", "round integer")  # columns that were added later


def ledger_of(shard: Shard | None) -> str:
    """The path of a run's ledger, below the target."""
    return f"{shard.records}/manifest.sqlite" if shard else LEDGER


def opened(file: Path, only_look: bool = False) -> sqlite3.Connection:
    """A ledger with every table and column; missing columns are added.

    With `only_look` it is a copy in memory, and not a byte is written beside the file. Raises OSError or sqlite3.Error.
    """
    if only_look:
        ledger = _copy(file)
    else:
        _own(file)
        ledger = sqlite3.connect(file, check_same_thread=False)
    ledger.executescript(
        "pragma journal_mode=wal; pragma synchronous=normal;" + SCHEMA + overrides.SCHEMA + journal.SCHEMA
    )
    there = {row[1] for row in ledger.execute("pragma table_info(pictures)")}
    for column in LATER:
        if column.split()[0] not in there:
            ledger.execute(f"alter table pictures add column {column}")
    return ledger


def in_words(error: sqlite3.Error, file: Path) -> str:
    """A message for an error of a ledger: how to go on, and what is kept if it is damaged."""
    if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return (
            f"{file} is damaged ({error}). Pictures, masks, and the reviews and notes in metadata.jsonl are kept: move "
            f"this file away (mv {shlex.quote(str(file))} {shlex.quote(f'{file}.damaged')}), then run the same command "
            "again, and it is built again from them"
        )
    return f"the manifest {file} cannot be written: {error}; fix that, then run the same command again"


def _own(file: Path) -> None:
    """Separate a ledger from its hard links, such as a backup by `cp -al`: SQLite writes into the files themselves."""
    for one in (file, *(file.with_name(f"{file.name}-{log}") for log in ("wal", "shm"))):
        if one.exists() and one.stat().st_nlink > 1:
            write_whole(one, one.read_bytes())


def _copy(file: Path) -> sqlite3.Connection:
    whole = sqlite3.connect(":memory:")
    if not file.exists():
        return whole
    with tempfile.TemporaryDirectory(prefix="cleanplate-") as place:
        log = file.with_name(f"{file.name}-wal")
        mode = "ro&immutable=1"
        if log.exists():  # left by a run that died; SQLite would apply it in place
            mode, file = "rw", Path(shutil.copy(file, place))
            shutil.copy(log, place)
        with closing(sqlite3.connect(f"file:{quote(os.fsencode(file))}?mode={mode}", uri=True)) as ledger:
            ledger.backup(whole)
    return whole


def fact(ledger: sqlite3.Connection, key: str) -> str | None:
    """A fact about the target as a whole, or None."""
    found = ledger.execute("select value from facts where key = ?", (key,)).fetchone()
    return found[0] if found else None


def remember(ledger: sqlite3.Connection, key: str, value: str) -> None:
    """Commit a fact about the target as a whole."""
    with ledger:
        ledger.execute("insert or replace into facts values (?, ?)", (key, value))


def count(ledger: sqlite3.Connection, condition: str = "1") -> int:
    """The number of pictures whose rows meet an SQL condition."""
    return ledger.execute(f"select count(*) from pictures where {condition}").fetchone()[0]


def take_up(ledger: sqlite3.Connection, file: Path, holds: Callable[[str], bool] = lambda name: True) -> None:
    """Copy another ledger's entries of the names that `holds` accepts, in place of this one's."""
    ledger.create_function("held", 1, lambda name: holds(os.fsdecode(name)))
    ledger.execute("attach database ? as other", (os.fsencode(file),))
    try:
        with ledger:
            tables = "select name from other.sqlite_master where type = 'table' and name != 'facts'"
            for (table,) in ledger.execute(tables).fetchall():  # each has one row per name
                columns = ", ".join(row[1] for row in ledger.execute(f"pragma other.table_info({table})"))
                rows = f"select {columns} from other.{table} where held(name)"
                ledger.execute(f"insert or replace into {table} ({columns}) {rows}")
            theirs = dict(ledger.execute("select key, value from other.facts"))
            ours = dict(ledger.execute("select key, value from facts"))
            facts = {"job": theirs.get("job"), "overwriting": theirs.get("overwriting") or ours.get("overwriting")}
            facts["round"] = str(max(int(theirs.get("round") or 0), int(ours.get("round") or 0)))
            told = [(key, value) for key, value in facts.items() if value is not None]
            ledger.executemany("insert or replace into facts values (?, ?)", told)
    finally:
        ledger.execute("detach database other")
