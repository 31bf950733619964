"""The decision to keep the original: a copy of the source replaces a picture's result, which can be restored."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from dataclasses import replace
from typing import Any

from flows.formats.encoding import reencoded
from flows.formats.picture import BrokenPicture, UnsupportedPicture
from flows.job import Job
from flows.ledger.entry import Fingerprint
from flows.ledger.manifest import Manifest
from flows.outcome import KEPT, Outcome
from flows.places.folders import Folders
from flows.places.layout import PictureFiles, files_of
from flows.places.source import Source
from flows.places.target import Target
from flows.steps import thumbnails

COPIES = ("nothing found", "unsupported")  # statuses with the original in images/ already


def keep(manifest: Manifest, folders: Folders, job: Job, outcome: Outcome, note: str | None) -> Outcome:
    """Replace a picture's result by the source's picture, and set the result aside. Returns the new row.

    Raises ValueError, with a message, if the source cannot be read or has changed.
    """
    files = files_of(outcome.source)
    if outcome.status in COPIES:
        kept = replace(outcome, review="accept", note=note)
        manifest.amend(kept)
        return kept
    data, target = _original(folders.source, job, outcome), folders.target
    _set_aside(manifest, target, files, outcome)
    name = target.image_name(outcome.source)
    sha256 = target.write(name, data)
    kept = replace(
        Outcome(outcome.source, "nothing found", KEPT), file_name=name, width=outcome.width, height=outcome.height,
        text=outcome.text, points=outcome.points, boxes=outcome.boxes, attempt=outcome.attempt,
        sha256_in=outcome.sha256_in, sha256_out=sha256, settings=outcome.settings, review="accept", note=note,
    )  # fmt: skip
    for path in (files.mask, files.strip, files.process):  # which are set aside
        target.remove(path)
    manifest.record(target, kept, _fingerprint(manifest, outcome.source), job, then=_nothing_else)
    thumbnails.make(target, [kept.row()], folders.source)
    return kept


def give_back(manifest: Manifest, target: Target, source: Source | None, job: Job, outcome: Outcome) -> Outcome:
    """Restore the result that was set aside. Returns its row, or the copy's if there is none."""
    files = files_of(outcome.source)
    try:
        told = json.loads(target.read(f"{files.aside}/row.json"))
        before = Outcome.of(told["row"] | {"sha256_mask": told["sha256_mask"]})
    except (OSError, ValueError, KeyError, TypeError):
        return outcome
    for part, path in _parts(files, before.file_name).items():
        if target.has(f"{files.aside}/{part}"):
            target.move(f"{files.aside}/{part}", path)
    manifest.record(target, before, _fingerprint(manifest, outcome.source), job, then=_nothing_else)
    target.clear(files.aside)
    thumbnails.make(target, [before.row()], source)
    return before


def _original(source: Source, job: Job, outcome: Outcome) -> bytes:
    try:
        data = source.read(outcome.source, job.max_pixels)
        if hashlib.sha256(data).hexdigest() != outcome.sha256_in:
            raise ValueError("it is another picture by now")
        return reencoded(data, job.format, job.quality)
    except (OSError, ValueError, BrokenPicture, UnsupportedPicture, MemoryError) as error:
        raise ValueError(f"the original of {outcome.source!r} cannot be kept: {error}") from error


def _parts(files: PictureFiles, image: str | None) -> dict[str, str]:
    """The files to set aside, by their names while they are set aside."""
    return ({"image": image} if image else {}) | {
        "mask.png": files.mask, "strip": files.strip, "process.gif": files.process,
    }  # fmt: skip


def _set_aside(manifest: Manifest, target: Target, files: PictureFiles, outcome: Outcome) -> None:
    """Copy the files to set aside, the row last, so that a process that dies here leaves the result in its place."""
    target.clear(files.aside)
    for part, path in _parts(files, outcome.file_name).items():
        if target.has(path):
            target.write(f"{files.aside}/{part}", target.read(path))
    known = manifest.known_of(outcome.source)
    told: dict[str, Any] = {"row": outcome.entry(), "sha256_mask": known.mask_sha if known else None}
    target.write(f"{files.aside}/row.json", json.dumps(told).encode())


def _fingerprint(manifest: Manifest, name: str) -> Fingerprint:
    known = manifest.known_of(name)
    return Fingerprint(known.size, known.mtime, known.wanted) if known else Fingerprint(-1, -1, "")


def _nothing_else(file: sqlite3.Connection, name: str) -> None:
    """A picture's own overrides, such as a redo's settings, apply to its result again once it is restored."""
