"""The end of a run: writes the record files and the review page; a shard writes only its own rows."""

from __future__ import annotations

from collections.abc import Callable

from flows.job import Job
from flows.ledger.manifest import Manifest
from flows.ledger.result_file import deliver
from flows.ledger.shards import records_of
from flows.messages.counts import many
from flows.page import report as review
from flows.places.folders import Folders
from flows.places.layout import files_of
from flows.places.sidecars import copy_sidecars
from flows.records import card as cards
from flows.steps import strips


def conclude(job: Job, folders: Folders, manifest: Manifest, present: set[str] | None) -> tuple[dict[str, int], int]:
    """Write the records that lag behind the manifest. Returns the number of rows by status, and of doubtful ones.

    A job that reached no row, such as one without its weights, leaves the job.toml of the existing results.
    """
    manifest.refuse_moved()
    manifest.sync()
    deliver(manifest, folders)
    counts, doubtful = manifest.counts(present), manifest.doubtful(present)
    rows, place = sum(counts.values()), records_of(manifest.shard)
    if manifest.rows_in_records() == rows and cards.are_there(folders.target, place):
        return counts, doubtful
    if manifest.shard:
        cards.write_rows(folders.target, manifest.outcomes(present), place)
    else:
        made_by = cards.job_of(folders.target) if manifest.settings.unwritten else None
        cards.write(folders.target, made_by or job, manifest.outcomes(present))
        review.write(folders.target, (outcome.row() for outcome in manifest.outcomes(present)), folders.source)
    manifest.mark_records_written(rows)
    return counts, doubtful


def accompany(job: Job, folders: Folders, manifest: Manifest, finished: set[str], say: Callable[[str], None]) -> None:
    """Write what the job asks for beside results: other files of the source, strips of pictures `finished` before."""
    if job.copy_others and folders.source.root:
        copied = copy_sidecars(folders.source.root, folders.target)
        say(f"copied {many(copied, 'other file')} of the source")
    if job.concat:
        drawn, others = strips.draw_missing(job, folders, manifest.outcomes(finished))
        if drawn:
            say(f"drew {many(drawn, 'strip')} of pictures that were finished before")
        if others:
            say(
                f"no strip for {many(len(others), 'finished picture')}, such as {others[0]}: the original, the mask or "
                "the result cannot be read, or has changed since it was painted; --existing overwrite paints them again"
            )
    if job.gif:
        removed = [row.source for row in manifest.outcomes(finished) if row.status == "removed"]
        if lacking := [name for name in removed if not folders.target.has(files_of(name).process)]:
            say(
                f"no animation of {many(len(lacking), 'picture')} finished before, such as {lacking[0]}: it takes "
                "another pass of the model; --existing overwrite paints them again with one"
            )
