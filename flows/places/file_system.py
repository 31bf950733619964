"""A test of a folder's file system: can it hold a target, with atomic renames, a lock, and SQLite's log?"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from flows.places.disk import write_whole


def try_out(folder: Path) -> None:
    """Do in a temporary folder there what a run does in a target. Raises OSError or sqlite3.Error if that fails."""
    with tempfile.TemporaryDirectory(prefix=".cleanplate-", dir=folder) as name:
        place = Path(name)
        for data in (b"first", b"second"):
            write_whole(place / "picture", data)
        if (place / "picture").read_bytes() != b"second":
            raise OSError("a renamed file does not take the place of the one before")
        _lock(place / "lock")
        with closing(sqlite3.connect(place / "manifest.sqlite")) as ledger:
            if ledger.execute("pragma journal_mode=wal").fetchone() != ("wal",):
                raise OSError("No locks available: SQLite keeps no log here")
            ledger.execute("create table pictures (name)")


def _lock(file: Path) -> None:
    first, second = (os.open(file, os.O_RDWR | os.O_CREAT) for _ in range(2))
    try:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        raise OSError("No locks available: two runs could hold this folder at once")
    finally:
        os.close(first)
        os.close(second)
