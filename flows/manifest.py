"""What is done, and by which settings: one SQLite file in the target with one writer, and a lock."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flows import overrides
from flows.faults import EnvironmentFault
from flows.folder import PRIVATE, Folder, image_name, mask_name
from flows.prompt_files import Wishes
from flows.records import Outcome, digest
from flows.settings import REMOVAL_SETTINGS, Job

LEDGER = f"{PRIVATE}/manifest.sqlite"
SCHEMA = """
create table if not exists pictures (
    name blob primary key, status text, size integer, mtime integer, wanted text, settings text, out_size integer,
    row text
);
create table if not exists facts (key text primary key, value text);
"""


class Busy(Exception):
    """Another run holds the target."""

    code = 75


class OtherSettings(ValueError):
    """The target was made with other settings; the message names the fields."""


@dataclass(frozen=True)
class Seen:
    """A picture and what is wanted of it, as they were before it was read: what a row is true of."""

    size: int
    mtime: int
    wanted: str


def look_at(folder: Folder, names: list[str], wishes: Wishes) -> dict[str, Seen]:
    """The pictures of a portion before work on them begins; one that vanished is due should it come back."""
    seen = {}
    for name in names:
        try:
            seen[name] = Seen(*folder.stat(name), wishes.of(name).key)
        except OSError:
            seen[name] = Seen(-1, -1, "")
    return seen


class Manifest:
    """The ledger of a target. A picture is published first and its row committed after, so a row never lies."""

    def __init__(self, target: Path):
        """Take the lock. Raises Busy when another run has it, EnvironmentFault when the target cannot be written."""
        private = target / PRIVATE
        try:
            private.mkdir(parents=True, exist_ok=True)
            self.lock = os.open(private / "lock", os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel frees it when the process dies
            except BlockingIOError as error:
                os.close(self.lock)
                raise Busy(f"another run is working on {target}; wait for it, or choose another target") from error
            self.file = sqlite3.connect(target / LEDGER, check_same_thread=False)
            self.file.executescript("pragma journal_mode=wal; pragma synchronous=full;" + SCHEMA + overrides.SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise EnvironmentFault(f"the target {target} cannot be written: {error}") from error

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
            painted = self._count("status = 'removed'")
            now = job.settings
            fields = [f for f in now if now[f] != before.get(f) and (painted or f not in REMOVAL_SETTINGS)]
            if fields and self._count("1"):
                changes = "; ".join(f"{f}: {before.get(f)!r} then, {now[f]!r} now" for f in fields)
                raise OtherSettings(
                    f"this target was made with other settings ({changes}); choose another target, "
                    f"or --existing overwrite to do every picture again"
                )
        self._remember("job", json.dumps(job.settings))

    def settings(self) -> dict[str, Any] | None:
        found = self._fact("job")
        return json.loads(found) if found else None

    def waiting(
        self, folder: Folder, names: list[str], wishes: Wishes, job: Job, masks_only: bool = False
    ) -> Iterator[str]:
        """The names that are missing, changed or wanted otherwise. Opens no picture of the same size and time."""
        if job.existing == "overwrite":
            yield from names
            return
        columns = "name, status, size, mtime, wanted, settings, out_size"
        known = {row[0]: row[1:] for row in self.file.execute(f"select {columns} from pictures")}
        due_with = functools.cache(lambda status: _made_with(status, job))  # a digest a status, not one a picture
        for name in names:
            row = known.get(os.fsencode(name))
            if row is None or not self._stands(folder, name, row, wishes, due_with, masks_only):
                yield name

    def _stands(
        self, folder: Folder, name: str, row: tuple, wishes: Wishes, due_with: Callable[[str], str], masks_only: bool
    ) -> bool:
        status, size, mtime, wanted, made_with, out_size = row
        if (status == "masked" and not masks_only) or wanted != wishes.of(name).key:
            return False
        if made_with != due_with(status):
            return False
        try:
            if not self._same(folder, name, size, mtime):
                return False
            if status == "masked":
                return folder.path(mask_name(name)).exists()
            return status in ("failed", "skipped") or folder.path(image_name(name)).stat().st_size == out_size
        except OSError:
            return False

    def _same(self, folder: Folder, name: str, size: int, mtime: int) -> bool:
        """Whether a picture holds the bytes of its row: size and time tell, or SHA-256 when only its time changed."""
        now = folder.stat(name)
        if now == (size, mtime):
            return True
        key = os.fsencode(name)
        (row,) = self.file.execute("select row from pictures where name = ?", (key,)).fetchone()
        if now[0] != size or hashlib.sha256(folder.read(name)).hexdigest() != json.loads(row)["sha256_in"]:
            return False
        with self.file:
            self.file.execute("update pictures set mtime = ? where name = ?", (now[1], key))
        return True

    def masked(self, folder: Folder, names: list[str], wishes: Wishes, job: Job) -> dict[str, Outcome]:
        """Rows of those names whose mask an earlier `masks` left for this very picture; it may have been edited."""
        ready = {}
        for name in names:
            row = self.file.execute(
                "select size, mtime, wanted, row from pictures where name = ? and status = 'masked'",
                (os.fsencode(name),),
            ).fetchone()
            if row is None or row[2] != wishes.of(name).key or not folder.path(mask_name(name)).exists():
                continue
            if self._same(folder, name, *row[:2]):
                ready[name] = replace(Outcome(**json.loads(row[3])), settings=digest(job.settings))
        return ready

    def record(self, folder: Folder, outcome: Outcome, seen: Seen, job: Job) -> None:
        """Commit the row of a picture that is already in its place. Raises EnvironmentFault when it cannot be."""
        out_size = folder.path(outcome.file_name).stat().st_size if outcome.file_name else None
        row = (
            os.fsencode(outcome.source),
            outcome.status,
            seen.size,
            seen.mtime,
            seen.wanted,
            _made_with(outcome.status, job),
            out_size,
            json.dumps(outcome.row()),
        )
        try:
            with self.file:
                self.file.execute("insert or replace into pictures values (?, ?, ?, ?, ?, ?, ?, ?)", row)
        except sqlite3.Error as error:
            raise EnvironmentFault(f"the manifest cannot be written: {error}") from error

    def outcome(self, name: str) -> Outcome | None:
        """The row of a picture, or None; any string may be asked for."""
        try:
            key = os.fsencode(name)
        except UnicodeEncodeError:  # no file can be called so
            return None
        found = self.file.execute("select row from pictures where name = ?", (key,)).fetchone()
        return Outcome(**json.loads(found[0])) if found else None

    def amend(self, outcome: Outcome) -> None:
        """Change what a row says without another look at its picture. The caller commits."""
        row = (json.dumps(outcome.row()), os.fsencode(outcome.source))
        self.file.execute("update pictures set row = ? where name = ?", row)

    def counts(self, present: set[str] | None) -> dict[str, int]:
        """How many rows there are of each status, of the names in `present` or of all (None)."""
        rows = self.file.execute("select name, status from pictures")
        return dict(Counter(status for name, status in rows if present is None or os.fsdecode(name) in present))

    def doubtful(self, present: set[str] | None) -> int:
        """How many of these names have a result that may have failed."""
        doubted = self.file.execute("select name from pictures where json_extract(row, '$.verdict') = 'doubtful'")
        return sum(present is None or os.fsdecode(name) in present for (name,) in doubted)

    def outcomes(self, present: set[str] | None) -> Iterator[Outcome]:
        """The rows of the names in `present`, or of all (None). Those of pictures that went away wait for them."""
        for name, row in self.file.execute("select name, row from pictures order by name"):
            if present is None or os.fsdecode(name) in present:
                yield Outcome(**json.loads(row))

    def published(self) -> int:
        """How many rows the record files hold; -1 when a run that wrote rows did not come to write them."""
        return int(self._fact("published") or -1)

    def publishes(self, rows: int) -> None:
        """Note that the record files hold so many rows, or (-1) that they are about to lag behind."""
        self._remember("published", str(rows))

    def _fact(self, key: str) -> str | None:
        found = self.file.execute("select value from facts where key = ?", (key,)).fetchone()
        return found[0] if found else None

    def _remember(self, key: str, value: str) -> None:
        with self.file:
            self.file.execute("insert or replace into facts values (?, ?)", (key, value))

    def is_empty(self) -> bool:
        return not self._count("1")

    def _count(self, condition: str) -> int:
        return self.file.execute(f"select count(*) from pictures where {condition}").fetchone()[0]


def _made_with(status: str, job: Job) -> str:
    """A digest of the settings that a row depends on: where nothing was painted, the removal's do not matter."""
    if status in ("removed", "failed"):
        return digest(job.settings)
    return digest({key: value for key, value in job.settings.items() if key not in REMOVAL_SETTINGS})
