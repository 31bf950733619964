"""The ledger's entry of a picture: the state of its source, request, settings and files when its row was written."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, NamedTuple

from flows.job import REMOVAL_SETTINGS, Job
from flows.outcome import Outcome, digest
from flows.places.source import Source
from flows.places.target import Target
from flows.requests.job_requests import Requests

NO_MASK = -1  # the size of a missing mask file; null in rows of an early version


@dataclass(frozen=True)
class Fingerprint:
    """Size, modification time (ns) and request digest of a source picture, taken before it is read.

    A row is valid while they still match.
    """

    size: int
    mtime: int
    wanted: str


ABSENT = Fingerprint(-1, -1, "")  # of a row that is due as soon as its picture exists


class LedgerEntry(NamedTuple):
    """The state in which a picture was done: its fingerprint, the settings, and the files that resulted."""

    status: str
    size: int
    mtime: int
    wanted: str
    settings: str
    out_size: int | None
    mask_size: int | None
    mask_mtime: int | None
    mask_sha: str | None
    round: int | None


COLUMNS = ", ".join(LedgerEntry._fields)


def fingerprints(source: Source, names: list[str], requests: Requests) -> dict[str, Fingerprint]:
    """The fingerprints of a portion, taken before work on it begins; a picture that vanished gets ABSENT."""
    taken = {}
    for name in names:
        try:
            taken[name] = Fingerprint(*source.stat(name), requests.of(name).key)
        except OSError:
            taken[name] = ABSENT
    return taken


def settings_digest(status: str, job: Job) -> str:
    """A digest of the settings that a row depends on: without painting, those of the removal do not matter.

    A picture that failed may be done with more pixels allowed.
    """
    limit = {"max_pixels": job.max_pixels} if status == "failed" and job.max_pixels != Job().max_pixels else {}
    return digest_of_settings(status, job.settings | limit)


def digest_of_settings(status: str, settings: dict[str, Any]) -> str:
    if status in ("removed", "failed"):
        return digest(settings)
    return digest({key: value for key, value in settings.items() if key not in REMOVAL_SETTINGS})


def mask_of(target: Target, outcome: Outcome) -> tuple[int, int, str | None]:
    """Size, time and SHA-256 of the mask that a row was made with; no time if another one has taken its place."""
    if outcome.mask_file_name is None:
        return NO_MASK, NO_MASK, None
    file = target.mask(outcome.source)
    try:
        (size, mtime), now = target.stat(file), hashlib.sha256(target.read(file)).hexdigest()
    except FileNotFoundError:  # removed at this very moment
        return 0, NO_MASK, outcome.sha256_mask or "gone"
    made = outcome.sha256_mask or now
    return size, mtime if made == now else NO_MASK, made
