"""The ledger of finished work: one SQLite file in the target with one writer, and a lock."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from flows.errors import EnvironmentFault, raise_if_environment, raise_if_moved
from flows.job import Job
from flows.ledger import journal, lock, staging, tables
from flows.ledger.entry import ABSENT, COLUMNS, Fingerprint, LedgerEntry, mask_of, settings_digest
from flows.ledger.overrides import void
from flows.ledger.pending_masks import PendingMasks, end_pending
from flows.ledger.published import remove_published, row_of
from flows.ledger.shards import Shard
from flows.ledger.target_settings import TargetSettings
from flows.outcome import Outcome
from flows.places.links import refuse_links
from flows.places.target import Target

Then = Callable[[sqlite3.Connection, str], None]  # further notes on a picture, in the transaction of its row


class Manifest:
    """The ledger of a target. A picture is published before its row is committed, so that a row is never wrong."""

    def __init__(self, target: Path, only_look: bool = False, shard: Shard | None = None, merging: bool = False):
        """Take the lock, or a shard's own; with `only_look` open a copy, and touch nothing.

        Raises Busy when another run has it, UsageError when links lead out of it, or when the records of shards are
        newer and this is not to merge them, EnvironmentFault when the target cannot be written.
        """
        file, self.shard = target / tables.ledger_of(shard), shard
        refuse_links(target)
        try:
            self.locks = lock.hold(target, shard, only_look, merging)
            self.file = tables.opened(file, only_look)
            if shard and self.is_empty() and (target / tables.LEDGER).exists() and not only_look:
                tables.take_up(self.file, target / tables.LEDGER, shard.holds)
        except sqlite3.Error as error:
            lock.free(self.locks)
            raise EnvironmentFault(tables.in_words(error, file)) from error
        except OSError as error:
            raise EnvironmentFault(f"the target {target} cannot be written: {error}") from error
        self.journal = journal.Journal(self.file)
        self.pending = PendingMasks()
        self.settings = TargetSettings(self.file)
        self.place = target

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Release the target. Turn the machine's errors in the block, such as a full disk, into EnvironmentFault."""
        with contextlib.suppress(sqlite3.Error):
            self.file.close()
        lock.free(self.locks)
        if isinstance(error, sqlite3.Error):
            raise EnvironmentFault(tables.in_words(error, self.place / tables.ledger_of(self.shard))) from error
        if error is not None:
            raise_if_environment(error)
            raise_if_moved(error)

    def refuse_moved(self) -> None:
        """Raises EnvironmentFault if the target was moved or removed since it was opened."""
        if not lock.is_held(self.place, self.locks[0]):
            raise EnvironmentFault(
                f"{self.place} was moved or removed while the run went on; put it back or leave it, then run the same "
                "command again"
            )

    def known(self) -> dict[str, LedgerEntry]:
        """The entry of every picture, by name."""
        rows = self.file.execute(f"select name, {COLUMNS} from pictures")
        return {os.fsdecode(name): LedgerEntry(*rest) for name, *rest in rows}

    def known_of(self, name: str) -> LedgerEntry | None:
        """The entry of one picture, or None."""
        found = self.file.execute(f"select {COLUMNS} from pictures where name = ?", (os.fsencode(name),)).fetchone()
        return LedgerEntry(*found) if found else None

    def outcome(self, name: str) -> Outcome | None:
        """The row of a picture, or None; for any string."""
        try:
            key = os.fsencode(name)
        except UnicodeEncodeError:  # no file can have this name
            return None
        found = self.file.execute("select row from pictures where name = ?", (key,)).fetchone()
        return Outcome.of(json.loads(found[0])) if found else None

    def amend(self, outcome: Outcome) -> None:
        """Change a row without looking at its picture again. The caller commits."""
        row = (json.dumps(outcome.entry()), os.fsencode(outcome.source))
        self.file.execute("update pictures set row = ? where name = ?", row)

    def touched(self, name: str, mtime: int) -> None:
        """Note the new modification time of a picture with the same bytes."""
        with self.file:
            self.file.execute("update pictures set mtime = ? where name = ?", (mtime, os.fsencode(name)))

    def touched_mask(self, name: str, mtime: int) -> None:
        """Note the new modification time of a mask with the same bytes."""
        with self.file:
            self.file.execute("update pictures set mask_mtime = ? where name = ?", (mtime, os.fsencode(name)))

    def record(
        self,
        target: Target,
        outcome: Outcome,
        fingerprint: Fingerprint,
        job: Job,
        staged: Path | None = None,
        then: Then = void,
    ) -> Outcome:
        """Commit the row of a picture that is already in its place, or is `staged` and will be put there next.

        `then` makes further notes in the same transaction; a run forgets the overrides of the picture. Returns the row,
        or a failure's row, due again, if somebody removed the picture. Raises EnvironmentFault if it cannot be
        committed.
        """
        self.refuse_moved()
        out_size = staged.stat().st_size if staged else None
        if outcome.file_name and not staged:
            try:
                out_size = target.stat(outcome.file_name)[0]
            except FileNotFoundError:
                outcome, fingerprint = _taken_away(outcome), ABSENT
        name, entry = os.fsencode(outcome.source), json.dumps(outcome.entry())
        row = (
            name, entry, outcome.status, fingerprint.size, fingerprint.mtime, fingerprint.wanted,
            settings_digest(outcome.status, job), out_size, *mask_of(target, outcome), self.settings.round,
        )  # fmt: skip
        before = self.outcome(outcome.source)
        self._commit(outcome, row, then)
        remove_published(self.file, target, before, outcome)
        self.pending.note(target, outcome.source)
        if staged:
            self.sync()
        return outcome

    def _commit(self, outcome: Outcome, row: tuple, then: Then) -> None:
        """Commit everything that a picture's row changes, in one transaction."""
        try:
            with self.file:
                if outcome.settings is not None:
                    self.settings.write_here()
                self.file.execute(
                    f"insert or replace into pictures (name, row, {COLUMNS}) values ({', '.join('?' * len(row))})", row
                )
                journal.forget(self.file, outcome.source)
                then(self.file, outcome.source)
        except sqlite3.Error as error:
            raise EnvironmentFault(tables.in_words(error, self.place / tables.ledger_of(self.shard))) from error

    def sync(self) -> None:
        """Flush every row to the disk, then put these rows' masks in their places.

        A commit survives its process, but not a power cut; a mask without a row would be taken for one made by hand.
        Waiting for the disk at every row took longer than all other work on a picture beside the model.
        """
        self.file.execute("pragma wal_checkpoint")
        self.pending.put()

    def tidy(self, target: Target) -> None:
        """Clean up after a run that died, if any: half-written files, masks without a row, names in progress."""
        if self.rows_in_records() is None and self.shard is None:  # half-written files may be another shard's
            target.sweep()
        ours = self.shard.holds if self.shard else lambda _: True
        end_pending(target, ours, lambda name: row.mask_sha if (row := self.known_of(name)) else None)
        staging.end_moves(target, partial(row_of, self.file))
        self.journal.look_back()

    def counts(self, present: set[str] | None) -> dict[str, int]:
        """The number of rows by status, for the names in `present` or for all (None)."""
        rows = self.file.execute("select name, status from pictures")
        return dict(Counter(status for name, status in rows if present is None or os.fsdecode(name) in present))

    def doubtful(self, present: set[str] | None) -> int:
        """The number of these names with a doubtful result."""
        doubted = self.file.execute("select name from pictures where json_extract(row, '$.verdict') = 'doubtful'")
        return sum(present is None or os.fsdecode(name) in present for (name,) in doubted)

    def outcomes(self, present: set[str] | None) -> Iterator[Outcome]:
        """The rows of the names in `present`, or all (None). The ledger keeps rows of pictures that left the source."""
        for name, row in self.file.execute("select name, row from pictures order by name"):
            if present is None or os.fsdecode(name) in present:
                yield Outcome.of(json.loads(row))

    def rows_in_records(self) -> int | None:
        """The number of rows in the record files; None if they lag behind the ledger."""
        rows = int(self.fact("published") or -1)
        return None if rows < 0 else rows

    def mark_records_stale(self) -> None:
        """Note that the record files are about to lag behind the rows."""
        self.remember("published", "-1")

    def mark_records_written(self, rows: int) -> None:
        """Note that the record files are complete, with so many rows."""
        self.remember("published", str(rows))

    def fact(self, key: str) -> str | None:
        return tables.fact(self.file, key)

    def remember(self, key: str, value: str) -> None:
        tables.remember(self.file, key, value)

    def is_empty(self) -> bool:
        return not tables.count(self.file)


def _taken_away(outcome: Outcome) -> Outcome:
    reason = f"{outcome.file_name} was moved or removed while the run went on; the next run does it again"
    return replace(outcome, status="failed", reason=reason, file_name=None, sha256_out=None, verdict=None, doubt=None)
