"""A forecast of a run: its time, from the target's earlier pictures, and its space on the disk."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import timedelta

from rich.filesize import decimal

from flows.job import Job
from flows.ledger.manifest import Manifest
from flows.places.disk import Disk
from flows.places.folders import Folders
from flows.places.source import Source
from flows.places.target import Target

MASK = 20_000  # bytes of a mask file at 12 megapixels; smaller pictures have smaller ones


@dataclass(frozen=True)
class Forecast:
    """`seconds` is None until a picture of the target was painted; `size` and `free` are bytes on its disk.

    For a store, `free` is None. `download` are bytes of weights to fetch first, as far as their sizes are known.
    """

    pictures: int
    seconds: float | None
    size: int
    free: int | None
    download: int = 0

    def __str__(self) -> str:
        how_long = "how long is unknown until the first batch"
        if self.seconds is not None:
            pace = self.seconds / max(1, self.pictures)
            how_long = f"about {timedelta(seconds=round(self.seconds))} (h:mm:ss), at {pace:.2g} s a picture so far"
        if self.free is None:
            return f"{how_long}; about {decimal(self.size)} of the store"
        room = f"about {decimal(self.size)} of disk, of which {decimal(self.free)} are free"
        return f"{how_long}; {room}" + ("; make room first" if self.size > self.free else "")


def pace_of(manifest: Manifest) -> float | None:
    """Mean seconds for a painted picture of a target; None before the first."""
    times = "select avg(json_extract(row, '$.seconds')) from pictures where status = 'removed'"
    return manifest.file.execute(times).fetchone()[0]


def forecast(job: Job, folders: Folders, due: list[str], pace: float | None, download: int = 0) -> Forecast:
    """The forecast for the pictures in `due`: each takes its source's size, a mask, and twice its size for a strip.

    `pace` is the mean seconds a picture so far, or None.
    """
    sources = sum(_size(folders.source, name) for name in due)
    size = sources * (3 if job.concat else 1) + MASK * len(due)
    return Forecast(len(due), None if pace is None else pace * len(due), size, _free(folders.target), download)


def _free(target: Target) -> int | None:
    if not isinstance(target.files, Disk):
        return None
    place = next(path for path in (target.root, *target.root.absolute().parents) if path.exists())
    return shutil.disk_usage(place).free


def _size(source: Source, name: str) -> int:
    try:
        return source.stat(name)[0]
    except OSError:
        return 0
