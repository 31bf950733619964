"""The pictures in progress, kept on disk to outlive the process, so that a deadly picture can be told from bad luck.

A picture can kill the process that works on it (a decoder's crash, the out-of-memory killer) or hang it for good.
Nobody can say afterwards which one it was; but the names in progress are recorded here, and the next run takes them
last and one at a time. One that was alone in progress at two deaths is set aside.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

SCHEMA = """
create table if not exists flights (name blob primary key, deaths integer, alone integer, flying integer);
"""
TABLES = ("flights",)
ENOUGH = 2  # deaths alone: one may be a power cut


class Journal:
    """The names in progress, in the manifest's file. `flying` is how many were in progress together, 0 for none."""

    def __init__(self, file: sqlite3.Connection):
        self.file = file

    def look_back(self) -> None:
        """Count the pictures that a dead run had in progress. Call it once per run, before any work."""
        with self.file:
            self.file.execute(
                "update flights set deaths = deaths + 1, alone = alone + (flying = 1), flying = 0 where flying > 0"
            )

    def suspects(self) -> dict[str, int]:
        """Names in progress when a run died, and how often each was alone; the least suspected first."""
        rows = self.file.execute("select name, alone from flights where deaths > 0 order by alone, name")
        return {os.fsdecode(name): alone for name, alone in rows}

    @contextmanager
    def in_progress(self, names: list[str]) -> Iterator[None]:
        """Mark names as in progress until the block ends in any way, unless the process dies in it."""
        with self.file:
            self.file.executemany(
                "insert into flights values (?, 0, 0, ?) on conflict(name) do update set flying = excluded.flying",
                [(*key, len(names)) for key in _keys(names)],
            )
        try:
            yield
        finally:
            with self.file:
                self.file.executemany("update flights set flying = 0 where name = ?", _keys(names))
                self.file.executemany("delete from flights where deaths = 0 and name = ?", _keys(names))

    def hangs(self) -> list[str]:
        """Note that the process ends itself because a picture in progress hangs. Returns the names in progress.

        A picture alone in progress that was so at an earlier death need not hang twice: a hang is not a power cut.
        """
        with self.file:
            self.file.execute("update flights set alone = alone + 1 where flying = 1 and deaths > 0")
        rows = self.file.execute("select name from flights where flying > 0 order by name")
        return [os.fsdecode(name) for (name,) in rows]


def forget(file: sqlite3.Connection, name: str) -> None:
    """Remove a picture, within the transaction that commits its row."""
    file.execute("delete from flights where name = ?", (os.fsencode(name),))


def _keys(names: list[str]) -> list[tuple[bytes]]:
    return [(os.fsencode(name),) for name in names]
