"""The source of a job, which is only read: pictures in a folder or in a store, and none that is half-written."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Protocol

from flows.formats import heic
from flows.formats.pictures import SUFFIXES, suffix_of
from flows.messages.nearest import path_beside
from flows.places import unread
from flows.places.bucket import Bucket, is_url
from flows.places.sizes import refuse_larger_picture
from flows.places.survey import KEY, Survey, is_file_name, is_passed_over, survey
from flows.settings.paths import local_path


class Source(Protocol):
    """Pictures that are only read. Names are posix paths below the source."""

    @property
    def single(self) -> str | None:
        """The name of the one picture that the source is; None for a folder."""

    @property
    def root(self) -> Path | None:
        """The folder on this machine that holds the pictures; None for pictures in a store."""

    def survey(self) -> Survey:
        """Everything below the source whose name is that of a picture."""

    def read(self, name: str, max_pixels: int | None = None) -> bytes:
        """The bytes of a picture. Raises OSError, also while somebody is still writing it.

        With `max_pixels` it also raises TooLarge, before reading, for a file larger than such a picture can be.
        """

    def stat(self, name: str) -> tuple[int, int]:
        """Size of a picture in bytes, and a number that changes with it: the time of its last change, or a stamp."""


def open_source(source: str) -> Source:
    """The source at a path or URL. Raises ValueError for what is not there or is no picture."""
    return StoredSource(source) if is_url(source) else LocalSource(source)


class Unsettled(OSError):
    """A picture that somebody is still writing."""


class LocalSource:
    """A folder of pictures on this machine, or one picture (`single`, its name)."""

    def __init__(self, source: str):
        """Raises ValueError for what is not there or no picture."""
        given = local_path(source)
        if not source or not given.exists():
            raise ValueError(f"there is no folder or picture at {source!r}{path_beside(given)}")
        self.single = given.name if given.is_file() else None
        self.root = given.parent if self.single else given
        if self.single:
            _refuse_other_suffixes(source, self.single)

    def survey(self) -> Survey:
        return Survey([self.single]) if self.single else survey(self.root)

    def read(self, name: str, max_pixels: int | None = None) -> bytes:
        return read_settled(self.root / name, self.single is not None, max_pixels)

    def stat(self, name: str) -> tuple[int, int]:
        seen = (self.root / name).stat()
        return seen.st_size, seen.st_mtime_ns


class StoredSource:
    """The pictures below a URL, or one picture. A survey's listing answers `stat`, without more requests."""

    def __init__(self, source: str):
        """Raises ValueError for what is not there or no picture, EnvironmentFault when the store does not answer."""
        self.root = None
        whole = Bucket(source)
        self.single = whole.url.rpartition("/")[2] if whole.is_file() else None
        self.bucket = Bucket(whole.url.rpartition("/")[0]) if self.single else whole
        self.listed: dict[str, tuple[int, int]] = {}
        if self.single:
            _refuse_other_suffixes(source, self.single)
            if f"{self.bucket.url}/{self.single}" != whole.url:
                raise ValueError(f"{source}: {KEY}")
        elif not whole.is_folder():
            raise ValueError(f"there is no picture at {source!r}, and nothing below it")

    def survey(self) -> Survey:
        if self.single:
            return Survey([self.single])
        self.listed = self.bucket.find()
        there = [name for name in self.listed if not is_passed_over(name)]
        seen = [name for name in there if is_file_name(name)]
        odd = {*there}.difference(seen)
        rejected = {name: KEY for name in odd if suffix_of(name) in SUFFIXES | heic.SUFFIXES}
        rejected |= {name: heic.MISSING for name in seen if suffix_of(name) in heic.SUFFIXES - SUFFIXES}
        found = Survey(sorted(name for name in seen if suffix_of(name) in SUFFIXES), rejected)
        for name in {*there}.difference(found.names, rejected):
            unread.count(found.unread, name)
        return found

    def read(self, name: str, max_pixels: int | None = None) -> bytes:
        if max_pixels is not None:
            refuse_larger_picture(self.stat(name)[0], max_pixels)
        return self.bucket.read(name)

    def stat(self, name: str) -> tuple[int, int]:
        return self.listed.get(name) or self.bucket.stat(name)


def read_settled(file: Path, follow: bool = False, max_pixels: int | None = None) -> bytes:
    """The bytes of a file that does not change meanwhile.

    Raises Unsettled if it does, OSError for anything but a file, and for a link unless `follow`. Raises TooLarge,
    before reading, for more bytes than a picture of `max_pixels` can have.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # do not wait for a pipe that took its place
    with open(os.open(file, flags | (0 if follow else os.O_NOFOLLOW)), "rb") as opened:
        before = os.fstat(opened.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise Unsettled("it is no longer a file")
        if max_pixels is not None:
            refuse_larger_picture(before.st_size, max_pixels)
        data = opened.read(before.st_size + 1)
        after = os.fstat(opened.fileno())
    if (before.st_size, before.st_mtime_ns, len(data)) != (after.st_size, after.st_mtime_ns, before.st_size):
        raise Unsettled("it changed while it was read; the next run picks it up")
    return data


def _refuse_other_suffixes(source: str, name: str) -> None:
    if suffix_of(name) not in SUFFIXES:
        raise ValueError(f"{source} is not a picture ({' '.join(sorted(SUFFIXES))})")
