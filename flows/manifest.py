"""What is done, and by which settings: one SQLite file in the target with one writer, and a lock."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from flows.folder import PRIVATE, Folder, image_name, mask_name
from flows.prompt_files import Wishes
from flows.records import Job, Outcome, digest

LEDGER = f"{PRIVATE}/manifest.sqlite"
SCHEMA = """
create table if not exists pictures (
    name blob primary key, status text, size integer, mtime integer, wanted text, settings text, out_size integer,
    row text
);
create table if not exists facts (key text primary key, value text);
"""
# What may still change after `masks`, because it only shapes the removal.
REMOVAL_SETTINGS = frozenset({"model", "revision", "method", "steps", "strength", "seed", "context"})


class Busy(Exception):
    """Another run holds the target."""

    code = 75


class OtherSettings(ValueError):
    """The target was made with other settings; the message names the fields."""


class Manifest:
    """The ledger of a target. A picture is published first and its row committed after, so a row never lies."""

    def __init__(self, target: Path):
        """Take the lock. Raises Busy when another run has it."""
        private = target / PRIVATE
        private.mkdir(parents=True, exist_ok=True)
        self.lock = os.open(private / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel frees it when the process dies
        except OSError as error:
            os.close(self.lock)
            raise Busy(f"another run is working on {target}; wait for it, or choose another target") from error
        self.file = sqlite3.connect(target / LEDGER, check_same_thread=False)
        self.file.executescript("pragma journal_mode=wal; pragma synchronous=full;" + SCHEMA)

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *reason: object) -> None:
        self.file.close()
        os.close(self.lock)

    def settle(self, job: Job) -> None:
        """Compare the job's settings with those of the target, and remember them.

        Raises OtherSettings when they differ, unless existing pictures are to be overwritten.
        """
        before = self.settings()
        if before is not None and job.existing != "overwrite":
            done = self._count("status not in ('masked', 'failed')")
            now = job.settings
            fields = [f for f in now if now[f] != before.get(f) and (done or f not in REMOVAL_SETTINGS)]
            if fields and self._count("1"):
                changes = "; ".join(f"{f}: {before.get(f)!r} then, {now[f]!r} now" for f in fields)
                raise OtherSettings(
                    f"this target was made with other settings ({changes}); choose another target, "
                    f"or --existing overwrite to do every picture again"
                )
        with self.file:
            self.file.execute("insert or replace into facts values ('job', ?)", (json.dumps(job.settings),))

    def settings(self) -> dict[str, Any] | None:
        found = self.file.execute("select value from facts where key = 'job'").fetchone()
        return json.loads(found[0]) if found else None

    def waiting(self, folder: Folder, names: list[str], wishes: Wishes, job: Job) -> Iterator[str]:
        """The names that are missing, changed or wanted otherwise. Opens no picture: size and time tell."""
        known = {row[0]: row[1:] for row in self.file.execute(
            "select name, status, size, mtime, wanted, settings, out_size from pictures"
        )}  # fmt: skip
        settings = digest(job.settings)
        for name in names:
            row = known.get(os.fsencode(name))
            if row is None or job.existing == "overwrite" or not self._stands(folder, name, row, wishes, settings):
                yield name

    def _stands(self, folder: Folder, name: str, row: tuple, wishes: Wishes, settings: str) -> bool:
        status, size, mtime, wanted, made_with, out_size = row
        if status == "masked" or made_with != settings or wanted != wishes.of(name).key:
            return False
        try:
            if folder.stat(name) != (size, mtime) and not self._same_bytes(folder, name, size):
                return False
            return status in ("failed", "skipped") or folder.path(image_name(name)).stat().st_size == out_size
        except OSError:
            return False

    def _same_bytes(self, folder: Folder, name: str, size: int) -> bool:
        """Whether a picture that was touched still holds the same bytes; if so, its new time is remembered."""
        now, mtime = folder.stat(name)
        if now != size:
            return False
        key = os.fsencode(name)
        (row,) = self.file.execute("select row from pictures where name = ?", (key,)).fetchone()
        if hashlib.sha256(folder.read(name)).hexdigest() != json.loads(row)["sha256_in"]:
            return False
        with self.file:
            self.file.execute("update pictures set mtime = ? where name = ?", (mtime, key))
        return True

    def masked(self, folder: Folder, names: list[str], wishes: Wishes) -> dict[str, Outcome]:
        """Rows of those names whose mask an earlier `masks` left for this very picture; it may have been edited."""
        ready = {}
        for name in names:
            row = self.file.execute(
                "select size, mtime, wanted, row from pictures where name = ? and status = 'masked'",
                (os.fsencode(name),),
            ).fetchone()
            same = row and row[2] == wishes.of(name).key and folder.stat(name) == row[:2]
            if same and folder.path(mask_name(name)).exists():
                ready[name] = Outcome(**json.loads(row[3]))
        return ready

    def record(self, folder: Folder, outcomes: Iterable[Outcome], wishes: Wishes, job: Job) -> None:
        """Commit the rows of pictures that are already in their place."""
        rows = []
        for outcome in outcomes:
            name = outcome.source
            try:
                size, mtime = folder.stat(name)
            except OSError:
                size, mtime = -1, -1  # it vanished; should it come back, it is due
            image = folder.path(image_name(name))
            out_size = image.stat().st_size if outcome.file_name else None
            rows.append((os.fsencode(name), outcome.status, size, mtime, wishes.of(name).key, digest(job.settings),
                         out_size, json.dumps(outcome.row())))  # fmt: skip
        with self.file:
            self.file.executemany("insert or replace into pictures values (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def forget_missing(self, names: list[str]) -> int:
        """Drop the rows of pictures that are no longer in the source, so that the records name what is there."""
        present = {os.fsencode(name) for name in names}
        gone = [(row[0],) for row in self.file.execute("select name from pictures") if row[0] not in present]
        with self.file:
            self.file.executemany("delete from pictures where name = ?", gone)
        return len(gone)

    def outcomes(self) -> Iterator[Outcome]:
        for (row,) in self.file.execute("select row from pictures order by name"):
            yield Outcome(**json.loads(row))

    def counts(self) -> dict[str, int]:
        found = self.file.execute("select status, count(*) from pictures group by status")
        return dict(Counter(dict(found.fetchall())))

    def _count(self, condition: str) -> int:
        return self.file.execute(f"select count(*) from pictures where {condition}").fetchone()[0]
