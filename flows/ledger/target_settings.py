"""The settings that a target was made with, and which of them a run may change."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from flows.job import REMOVAL_SETTINGS, Job
from flows.ledger import tables
from flows.ledger.entry import digest_of_settings
from flows.outcome import digest


class OtherSettings(ValueError):
    """The target was made with other settings; the message names the fields."""


class TargetSettings:
    """The settings of a target, as its ledger holds them, and how often everything was overwritten by them."""

    def __init__(self, file: sqlite3.Connection):
        self.file = file
        self.unwritten: dict[str, str] = {}  # facts of a job without a row so far, see `write`

    def before(self) -> dict[str, Any] | None:
        """The settings of earlier runs, or None where there was none."""
        found = tables.fact(self.file, "job")
        return json.loads(found) if found else None

    def refuse(self, job: Job) -> None:
        """Compare the job's settings with those of the target.

        A setting that is newer than the target counts as its default there. Raises OtherSettings if they differ, unless
        existing pictures are to be overwritten.
        """
        before = self.before()
        if before is None or job.existing == "overwrite" or not tables.count(self.file):
            return
        painted = tables.count(self.file, "status = 'removed'")
        then, now = Job().settings | before, job.settings
        fields = [f for f in now if now[f] != then[f] and (painted or f not in REMOVAL_SETTINGS)]
        if fields:
            changes = "; ".join(f"{f}: {then[f]!r} then, {now[f]!r} now" for f in fields)
            raise OtherSettings(
                f"this target was made with other settings ({changes}); choose another target, "
                f"or --existing overwrite to do every picture again"
            )

    def adopt(self, job: Job, masks_only: bool = False) -> None:
        """Note the job's settings, which `refuse` let pass, and the round of overwriting, for `write`."""
        before, now = self.before(), job.settings
        if before is not None and before.keys() != now.keys() and Job().settings | before == now:
            with self.file:  # the only new settings are younger than the target, at their defaults
                for status in ("removed", "masked"):
                    self.file.execute(
                        "update pictures set settings = ? where settings = ?",
                        (digest_of_settings(status, now), digest_of_settings(status, before)),
                    )
        self.unwritten = {"job": json.dumps(now)}
        task = digest([now, masks_only])
        if (
            job.existing == "overwrite" and tables.fact(self.file, "overwriting") != task
        ):  # otherwise that round continues
            self.unwritten |= {"round": str(self.round + 1), "overwriting": task}

    def write(self) -> None:
        """Make the settings of `adopt` the target's. Called for the first row, or at the end of a run without any.

        A run that never reached a row, such as one whose models could not be loaded, changes nothing.
        """
        with self.file:
            self.write_here()

    def write_here(self) -> None:
        """The same in the caller's transaction."""
        self.file.executemany("insert or replace into facts values (?, ?)", [*self.unwritten.items()])
        self.unwritten = {}

    def overwritten(self) -> None:
        """Note that everything is overwritten; the next --existing overwrite begins a new round."""
        if tables.fact(self.file, "overwriting"):
            tables.remember(self.file, "overwriting", "")

    @property
    def round(self) -> int:
        """How often this target was overwritten; rows of an earlier round are due while that continues."""
        return int(self.unwritten.get("round") or tables.fact(self.file, "round") or 0)
