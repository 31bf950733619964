"""`merge`: joins the records of shards."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flows.errors import EnvironmentFault, UsageError
from flows.finish import conclude
from flows.ledger.beside import agreed, shard_job
from flows.ledger.manifest import Manifest
from flows.ledger.result_file import refuse_another
from flows.ledger.shards import Shard, holder, records_of, shards_of
from flows.ledger.tables import ledger_of, take_up
from flows.places.folders import open_folders
from flows.places.target import Target
from flows.records import rebuild


@dataclass
class Merged:
    """The state of a target after `merge`: its counts, and the number of pictures without a row by shard (such as
    "2/8").
    """

    source: str
    counts: dict[str, int]
    doubtful: int
    missing: dict[str, int]

    @property
    def exit_code(self) -> int:
        return 1 if self.missing or self.counts.get("failed") else 0


def merge(target: Path, say: Callable[[str], None] = lambda _: None) -> Merged:
    """Join the records of all shards of a target, in whatever order they ran, and write its record files.

    A shard's rows are taken over and its own records removed, so that a lost shard can be run and merged again alone.
    Raises UsageError when there is nothing to merge or shards were made with other settings, Busy while a run or a
    shard works on the target.
    """
    shards = shards_of(target)
    jobs = {shard: job for shard in shards if (job := shard_job(target, shard))}
    if not jobs:
        raise UsageError(f"{target} has no shards to merge; run each with --shard first, such as --shard 1/2")
    job = agreed(jobs)
    folders = open_folders(job.source, str(target), job.format)
    with rebuild.opened(folders.target, say, merging=True) as manifest:
        refuse_another(manifest, folders)
        manifest.mark_records_stale()
        for shard in shards:
            _take_up(manifest, folders.target, shard)
        manifest.tidy(folders.target)
        there = folders.survey()
        counts, doubtful = conclude(job, folders, manifest, None if folders.source.single else there.all)
        missing = _missing(manifest, there.all, shards[0].count)
        for shard in shards:
            folders.target.clear(shard.records)
    return Merged(job.source, counts, doubtful, missing)


def _take_up(manifest: Manifest, target: Target, shard: Shard) -> None:
    file = target.root / ledger_of(shard)
    if not file.exists():  # it was lost, or an earlier merge was interrupted while it cleaned up
        rebuild.take_up(manifest, target, records_of(shard))
        return
    try:
        take_up(manifest.file, file)
    except sqlite3.Error as error:
        raise EnvironmentFault(f"{file} cannot be merged: {error}; fix that, then merge again") from error


def _missing(manifest: Manifest, names: set[str], count: int) -> dict[str, int]:
    """The number of these names without a row, by shard."""
    known = manifest.known()
    lost = Counter(holder(name, count) for name in names if name not in known)
    return {str(shard): lost[shard] for shard in sorted(lost)}
