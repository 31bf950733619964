"""Pictures that are due: missing, changed, with another request, or with a mask corrected by hand."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace

from flows.formats.picture import BrokenPicture, UnsupportedPicture
from flows.formats.pictures import measure
from flows.job import Job
from flows.ledger.entry import NO_MASK, LedgerEntry, settings_digest
from flows.ledger.manifest import Manifest
from flows.outcome import BY_HAND, Outcome, digest
from flows.places.folders import Folders
from flows.places.layout import files_of
from flows.places.source import Source
from flows.places.target import Target
from flows.requests.job_requests import Requests

CORRECTED = "its mask was made by hand"


def waiting(
    manifest: Manifest, folders: Folders, names: list[str], requests: Requests, job: Job, masks_only: bool = False
) -> Iterator[str]:
    """The names that are due. Opens no picture or mask whose size and time are unchanged."""
    known = manifest.known()
    least = manifest.settings.round if job.existing == "overwrite" else 0
    due_with = functools.cache(
        lambda status: settings_digest(status, job)
    )  # one digest per status rather than per picture
    for name in names:
        row = known.get(name)
        if (
            row is None
            or (row.round or 0) < least
            or not _is_up_to_date(manifest, folders, name, row, requests, due_with, masks_only)
        ):
            yield name


def masked(manifest: Manifest, folders: Folders, names: list[str], requests: Requests, job: Job) -> dict[str, Outcome]:
    """Rows of the names that have a mask already: left by `masks` for this very picture, or made by hand.

    Masks made by hand stay even when existing pictures are overwritten; remove the file to have one found anew.
    """
    ready = {}
    for name in names:
        try:
            outcome = _masked(manifest, folders, name, requests, job)
        except OSError:  # removed at this very moment
            continue
        if outcome is not None:
            ready[name] = outcome
    return ready


def _masked(manifest: Manifest, folders: Folders, name: str, requests: Requests, job: Job) -> Outcome | None:
    if not folders.target.has(files_of(name).mask):
        return None
    row, outcome = manifest.known_of(name), manifest.outcome(name)
    if row is None or outcome is None:
        return _without_row(folders.source, name, job)
    if row.wanted != requests.of(name).key:
        return None
    by_hand = outcome.segmenter == BY_HAND or _corrected(manifest, folders.target, name, row)
    found = row.status == "masked" and row.settings == settings_digest("masked", job) and job.existing != "overwrite"
    if (by_hand or found) and row.status != "unsupported" and _same(manifest, folders.source, name, row):
        return _ready(outcome, by_hand, digest(job.settings))
    return None


def _without_row(source: Source, name: str, job: Job) -> Outcome | None:
    """The row of a picture that has a mask and no row: every mask of ours has a row, so a person made this one."""
    data = source.read(name)
    try:
        height, width = measure(data, job.max_pixels)
    except (BrokenPicture, UnsupportedPicture):
        return None
    outcome = Outcome(name, "masked", sha256_in=hashlib.sha256(data).hexdigest(), width=width, height=height)
    return _ready(outcome, True, digest(job.settings))


def _ready(outcome: Outcome, by_hand: bool, settings: str) -> Outcome:
    ready = replace(
        outcome, status="masked", settings=settings, mask_file_name=files_of(outcome.source).mask, file_name=None,
        sha256_out=None, reason=None, sha256_mask=None, attempt=1,
    )  # fmt: skip
    if not by_hand:
        return ready
    ready = replace(ready, review=None, note=None)  # which were said of another mask, or of a result under this one
    return replace(ready, segmenter=BY_HAND, reason=CORRECTED, dilate=0, score=None, objects=None)


def _is_up_to_date(
    manifest: Manifest,
    folders: Folders,
    name: str,
    row: LedgerEntry,
    requests: Requests,
    due_with: Callable[[str], str],
    masks_only: bool,
) -> bool:
    """True if a row still matches its picture and its files."""
    if (row.status == "masked" and not masks_only) or row.wanted != requests.of(name).key:
        return False
    if row.settings != due_with(row.status):
        return False
    try:
        if not _same(manifest, folders.source, name, row):
            return False
        if row.status == "masked":  # a mask that was corrected is handled by the run
            return folders.target.has(files_of(name).mask)
        if row.status not in ("failed", "skipped") and _published_size(folders.target, name, row) != row.out_size:
            return False
        return masks_only or row.status == "unsupported" or not _other_mask(manifest, folders.target, name, row)
    except OSError:
        return False


def _published_size(target: Target, name: str, row: LedgerEntry) -> int:
    return target.stat(target.image_name(name, as_it_is=row.status == "unsupported"))[0]


def _same(manifest: Manifest, source: Source, name: str, row: LedgerEntry) -> bool:
    """True if a picture still has the bytes of its row, by size and time, or by SHA-256 if only the time changed."""
    size, mtime = source.stat(name)
    if (size, mtime) == (row.size, row.mtime):
        return True
    outcome = manifest.outcome(name)
    if outcome is None or size != row.size or hashlib.sha256(source.read(name)).hexdigest() != outcome.sha256_in:
        return False
    manifest.touched(name, mtime)
    return True


def _other_mask(manifest: Manifest, target: Target, name: str, row: LedgerEntry) -> bool:
    """True if the mask file is not the row's: corrected by hand, removed, or drawn where there was none."""
    there = target.has(files_of(name).mask)
    if there and row.mask_sha is None and row.mask_size != NO_MASK:
        return False  # made by a version that did not record it
    return _corrected(manifest, target, name, row) if there else row.mask_sha is not None


def _corrected(manifest: Manifest, target: Target, name: str, row: LedgerEntry) -> bool:
    """True if the bytes of the mask file, which exists, are not the row's."""
    size, mtime = target.stat(files_of(name).mask)
    if row.mask_size is None or (size, mtime) == (row.mask_size, row.mask_mtime):
        return False
    if hashlib.sha256(target.read(files_of(name).mask)).hexdigest() != row.mask_sha:
        return True
    manifest.touched_mask(name, mtime)
    return False
