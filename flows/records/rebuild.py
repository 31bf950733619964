"""Rebuilds a lost ledger from the record files, so that nothing that people did is forgotten."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

from flows.errors import UsageError
from flows.formats.mask_files import decode_mask, mask_area
from flows.formats.picture import BrokenPicture, UnsupportedPicture
from flows.job import Job
from flows.ledger.entry import COLUMNS, NO_MASK, settings_digest
from flows.ledger.manifest import Manifest
from flows.ledger.shards import Shard, records_of
from flows.ledger.target_settings import OtherSettings
from flows.messages.counts import many
from flows.outcome import Outcome, digest
from flows.places.bucket import Bucket
from flows.places.disk import inside
from flows.places.folders import Folders
from flows.places.layout import MASKS, files_of
from flows.places.source import Source
from flows.places.target import Target
from flows.records.card import job_of
from flows.requests.job_requests import Requests

UNKNOWN = "?"  # the request digest of a row from the records, until `complete` has compared it
GIVEN = ("masks", "mask_pattern", "coco", "category")  # settings that say where masks come from
WRITTEN = "records"  # the fact that says when the record files were written, in nanoseconds
FIELDS = frozenset(field.name for field in fields(Outcome))
Say = Callable[[str], None]


def opened(
    target: Target, say: Say, only_look: bool = False, shard: Shard | None = None, merging: bool = False
) -> Manifest:
    """The manifest of a target; a lost one with the rows, reviews and notes of the record files.

    Raises UsageError for record files that cannot be read, and whatever Manifest does.
    """
    manifest = Manifest(target.root, only_look, shard, merging)
    try:
        if manifest.is_empty() and manifest.settings.before() is None:
            _rebuild(manifest, target, say, merging)
    except BaseException:
        manifest.__exit__(None, None, None)
        raise
    return manifest


def _rebuild(manifest: Manifest, target: Target, say: Say, merging: bool) -> None:
    shard = manifest.shard
    for place in dict.fromkeys((records_of(shard), "")):
        if count := take_up(manifest, target, place):
            manifest.mark_records_written(count)
            if job := job_of(target, place):
                manifest.remember("job", json.dumps(job.settings))
            say(
                f"{target.address} has lost its manifest: it is rebuilt from the {many(count, 'row')} of its records, "
                "with their reviews and notes; masks that are not of their rows are kept as made by hand"
            )
            return
    if shard is None and not merging and any(name.endswith(".png") for name in target.below(MASKS)):
        say(
            f"{target.address} has masks and no records: they are used as masks made by hand; remove {MASKS}/ to have "
            "them found"
        )


def read(target: Target, place: str = "") -> Iterator[Outcome]:
    """The rows of the record files in a folder of a target. Raises UsageError, with the line, for an invalid one."""
    for name in (f"{place}metadata.jsonl", f"{place}failures.jsonl"):
        if not target.has(name):
            continue
        for number, line in enumerate(target.read(name).split(b"\n"), 1):
            try:
                if line.strip():
                    yield _row(json.loads(line))
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise UsageError(
                    f"{target.address}/{name}, line {number} is not a row ({error}), and the manifest is lost, so that "
                    "reviews and notes are known only from there; correct the line, then run the same command again"
                ) from error


def _row(row: dict) -> Outcome:
    if not all(isinstance(row[key], str) for key in ("source", "status")):
        raise ValueError("source and status are texts")
    for path in (row["source"], row.get("file_name") or ""):
        inside(path)
    return Outcome(**{key: value for key, value in row.items() if key in FIELDS})


def take_up(manifest: Manifest, target: Target, place: str) -> int:
    """Put the rows of record files into a manifest. Returns how many; `complete` finds out whether they still hold."""
    shard = None if place else manifest.shard
    unknown = (-1, -1, UNKNOWN, "", None, 0, NO_MASK, "", 0)
    lines = [
        (os.fsencode(row.source), json.dumps(row.row()), row.status, *unknown)
        for row in read(target, place)
        if shard is None or shard.holds(row.source)
    ]
    if not lines:
        return 0
    with manifest.file:
        manifest.file.executemany(
            f"insert or replace into pictures (name, row, {COLUMNS}) values ({', '.join('?' * 12)})", lines
        )
    written = _time(target, f"{place}metadata.jsonl") or 0
    manifest.remember(WRITTEN, str(min(written, int(manifest.fact(WRITTEN) or written))))
    return len(lines)


def complete(manifest: Manifest, folders: Folders, names: list[str], requests: Requests, job: Job) -> None:
    """Complete rows that were read from the records, by comparing the SHA-256 of their files.

    Pictures that differ are due as usual. Raises OtherSettings if only the rows show that the settings are different.
    """
    asked = set(names)
    found = manifest.file.execute("select name from pictures where wanted = ?", (UNKNOWN,)).fetchall()
    before = job_of(folders.target, records_of(manifest.shard)) or job_of(folders.target)
    since = int(manifest.fact(WRITTEN) or 0)
    for name in (os.fsdecode(key) for (key,) in found):
        outcome = manifest.outcome(name)
        if name not in asked or outcome is None:
            continue
        redone = (outcome.attempt or 1) > 1 and outcome.settings != digest((before or job).settings)
        same = redone or outcome.settings in (None, digest(job.settings))
        if not same and before is None and job.existing != "overwrite":
            raise OtherSettings(
                f"{name} was made with other settings, and neither the manifest nor job.toml says with which; choose "
                "another target, or --existing overwrite to do every picture again"
            )
        row = (
            *_picture(folders.source, outcome),
            requests.of(name).key if redone or _same_request(job, before, requests, outcome, since) else "",
            settings_digest(outcome.status, job) if same else "",
            _size(folders.target, outcome),
            *_mask(folders.target, outcome, since),
        )
        with manifest.file:
            manifest.file.execute(
                "update pictures set size = ?, mtime = ?, wanted = ?, settings = ?, out_size = ?, mask_size = ?, "
                "mask_mtime = ?, mask_sha = ? where name = ?",
                (*row, os.fsencode(name)),
            )


def _picture(source: Source, outcome: Outcome) -> tuple[int, int]:
    try:
        seen = source.stat(outcome.source)
        return seen if _sha256(source.read(outcome.source)) == outcome.sha256_in else (-1, -1)
    except OSError:
        return -1, -1


def _size(target: Target, outcome: Outcome) -> int | None:
    """The size of a published picture if it is its row's; -1 for another."""
    if not outcome.file_name:
        return None
    try:
        data = target.read(outcome.file_name)
    except OSError:
        return -1
    return len(data) if _sha256(data) == outcome.sha256_out else -1


def _mask(target: Target, outcome: Outcome, since: int) -> tuple[int, int, str | None]:
    """Size, time and SHA-256 of a mask if it is its row's, judged by its area and time.

    Otherwise the SHA-256 is made to differ: the mask counts as made by hand, and no run overwrites it.
    """
    if outcome.mask_file_name is None:
        return NO_MASK, NO_MASK, None
    file = files_of(outcome.source).mask
    try:
        (size, mtime), data = target.stat(file), target.read(file)
        ours = mask_area(decode_mask(data)) == outcome.mask_area
    except (OSError, ValueError, BrokenPicture, UnsupportedPicture):
        return 0, NO_MASK, "another"
    if not ours or (_time(target, file) or 0) > since > 0:
        return 0, NO_MASK, "another"
    return size, mtime, _sha256(data)


def _same_request(job: Job, before: Job | None, requests: Requests, outcome: Outcome, since: int) -> bool:
    """True if a row is of the present request; for masks and annotations, if their file is older than the row."""
    request = requests.of(outcome.source)
    if request.given:
        files = request.masks or (Path(job.coco).expanduser(),)
        older = all(file.stat().st_mtime_ns <= since for file in files)
        return older and (before is None or all(getattr(job, key) == getattr(before, key) for key in GIVEN))
    told = (outcome.text or [], outcome.points or [], outcome.boxes or [])
    return told == ([*request.texts], [[*point] for point in request.points], [[*box] for box in request.boxes])


def _time(target: Target, relative: str) -> int | None:
    """The time of a file's last change, in nanoseconds; None in a store."""
    return None if isinstance(target.files, Bucket) else target.stat(relative)[1]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
