"""One picture to one file: targets that are a single file, the place of their records, and their checks."""

from __future__ import annotations

import hashlib
import os
from pathlib import PurePath

from flows.errors import EnvironmentFault, UsageError
from flows.formats import heic
from flows.formats.pictures import CONTAINERS, SUFFIXES, suffix_of
from flows.job import Job
from flows.places.bucket import GUARDS, Bucket, is_url
from flows.places.disk import Disk
from flows.places.layout import PRIVATE, SUFFIXES_OF
from flows.settings.paths import local_path

ENDING = PRIVATE  # appended to a file's name, it names the folder of its records
UNWRITTEN = frozenset({".jp2", ".j2k", ".jxl", ".tga", ".psd", ".ppm", ".pgm", ".pdf", ".svg", ".exr", ".dng"})
PICTURES = SUFFIXES | heic.SUFFIXES | UNWRITTEN


def records_place(target: str) -> str:
    """The folder of a target's records: the target itself, or the folder beside a target that is one file."""
    beside = f"{target}{ENDING}"
    return beside if _is_picture(target) and not _is_folder(target) and _is_folder(beside) else target


def to_one_file(job: Job) -> Job:
    """The job that turns one picture into one file: its target is the folder of the records, its format the file's.

    Any other job is returned unchanged. Raises UsageError for a file that cannot be the target, before anything is
    touched.
    """
    named = _is_picture(job.target) and not _is_folder(job.target)
    file = job.target if named else file_of(job.target)
    if file is None or not _is_file(job.source):
        return job
    _refuse_source(job.source, file)
    if job.shard:
        raise UsageError(f"{file} is one file, and a shard is a part of a folder; leave out --shard")
    records = f"{file}{ENDING}"
    if not _is_folder(records) and ResultFile(file).exists():
        raise UsageError(
            f"{file} exists already and is not a Cleanplate result, or {PurePath(records).name} beside it was removed; "
            "give another name, or move it away"
        )
    return job.model_copy(update={"target": records, "format": _format(job, file)})


def refuse_without_records(target: str) -> None:
    """Raises UsageError for a file that has no records, since a target with records is needed."""
    if not is_url(target) and local_path(target).is_file():
        raise UsageError(
            f"{target} is a file, and {target}{ENDING} with the records of a result is not there; give the target of a "
            "run"
        )


def file_of(records: str) -> str | None:
    """The file whose records lie in a folder, by the folder's name; None for any other folder."""
    file = records.rstrip("/").removesuffix(ENDING)
    return file if file != records.rstrip("/") and _is_picture(file) and not _is_folder(file) else None


class ResultFile:
    """The one file that a picture becomes, beside its records: it holds the result of the picture's row, or is gone."""

    def __init__(self, file: str):
        self.address = file
        self.files: Disk | Bucket
        if is_url(file):
            above, _, self.name = file.rpartition("/")
            self.files = Bucket(above)
        else:
            path = local_path(file)
            self.files, self.name = Disk(path.parent), path.name

    def exists(self) -> bool:
        """True if there is anything of that name, even a broken link."""
        if isinstance(self.files, Bucket):
            return self.files.has(self.name)
        return os.path.lexists(self.files.path(self.name))

    def sha256(self) -> str | None:
        """The SHA-256 of the file; None if there is none, and "" for a link or anything but a file."""
        if not self.exists():
            return None
        if isinstance(self.files, Disk):
            path = self.files.path(self.name)
            if path.is_symlink() or not path.is_file():
                return ""
        return hashlib.sha256(self.files.read(self.name)).hexdigest()

    def write(self, data: bytes) -> None:
        self._refuse_lost()
        self.files.write(self.name, data)

    def remove(self) -> None:
        self._refuse_lost()
        self.files.remove(self.name)

    def _refuse_lost(self) -> None:
        """In a store, a run's lease on the folder of the records covers the file."""
        if guard := GUARDS.get(f"{self.address}{ENDING}"):
            guard()


def _format(job: Job, file: str) -> str:
    """The format of a file's suffix: `same` if it is the source's own."""
    suffix = suffix_of(file)
    wanted = next((name for name, suffixes in SUFFIXES_OF.items() if suffix in suffixes), None)
    same = suffix in CONTAINERS and CONTAINERS[suffix] == CONTAINERS.get(suffix_of(job.source))
    if job.format != "same":
        if job.format == wanted:
            return job.format
        raise UsageError(
            f"--format {job.format} and the target {file} contradict each other; leave out --format, or end the name "
            f"in {SUFFIXES_OF[job.format][0]}"
        )
    if same or wanted:
        return "same" if same else str(wanted)
    raise UsageError(
        f"{file}: a {suffix_of(job.source)} is not written as {suffix}; end the name in "
        f"{suffix_of(job.source)}, or in .png, .jpg or .webp"
    )


def _refuse_source(source: str, file: str) -> None:
    if is_url(source) or is_url(file):
        same = source == file
    else:
        path = local_path(file)
        same = path.exists() and path.samefile(local_path(source))
    if same:
        raise UsageError(f"the target {file} is the source itself, which is never written; give another name")


def _is_picture(name: str) -> bool:
    return suffix_of(name) in PICTURES and not name.endswith("/")


def _is_file(place: str) -> bool:
    return bool(place) and (Bucket(place).is_file() if is_url(place) else local_path(place).is_file())


def _is_folder(place: str) -> bool:
    if not is_url(place):
        return local_path(place).is_dir()
    try:
        return Bucket(place).is_folder()
    except PermissionError as error:
        raise EnvironmentFault(f"{place} cannot be looked up: {error}") from error
