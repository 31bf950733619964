"""What lies in a source folder, and how a picture is read from it: no links, no pipes, nothing half-copied."""

from __future__ import annotations

import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from flows.errors import EnvironmentFault
from flows.formats import heic
from flows.formats.pictures import SUFFIXES, suffix_of
from flows.messages.nearest import path_beside
from flows.places import unread
from flows.places.bucket import Bucket
from flows.places.sizes import refuse_larger_picture
from flows.settings.paths import local_path

LINK = "it is a link, and links are not followed out of the source; put the picture itself in its place"
FOLDER = "it is a folder with the name of a picture; the pictures in it are done by their own names"
KEY = "no folder can hold a file of that name: a part of it is empty, . or ..; give the object another key"
SPECIAL = "it is not a file but a pipe, a socket or a device; put a picture in its place"


@dataclass
class Survey:
    """Everything that is called like a picture: `names` of pictures, `rejected` by name with the reason why not.

    `barred` are pictures whose results would have no place, with the reason. `links` are links to folders: whatever is
    behind them is left out. `unread` counts by suffix the files that are neither pictures nor what lies beside them.
    """

    names: list[str] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    barred: dict[str, str] = field(default_factory=dict)
    unread: Counter[str] = field(default_factory=Counter)

    @property
    def all(self) -> set[str]:
        """What a row is owed to."""
        return {*self.names, *self.rejected, *self.barred}


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
    """The pictures below a URL, or one picture. A survey's listing answers `stat`: no request for each picture."""

    def __init__(self, source: str):
        """Raises ValueError for what is not there or no picture, EnvironmentFault when the store does not answer."""
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


def is_file_name(name: str) -> bool:
    """True if a file of a folder can be called so. A store keeps a//b.png and a/b.png apart; a folder does not."""
    return not any(part in ("", ".", "..") for part in name.split("/"))


def is_passed_over(name: str) -> bool:
    return any(unread.is_left_out(part) and part not in (".", "..") for part in name.split("/"))


def survey(source: Path) -> Survey:
    """Look through a folder and all below it, but for what is hidden; nothing is opened.

    Raises EnvironmentFault for a folder that cannot be read, whose pictures would be left out.
    """
    found, below = Survey(), [source]
    while below:
        directory = below.pop()
        try:
            with os.scandir(directory) as entries:
                below += [Path(entry.path) for entry in entries if _enter(found, entry, source)]
        except OSError as error:
            raise EnvironmentFault(
                f"{directory} cannot be read: {error.strerror}; its pictures would be left out"
            ) from error
    found.names.sort()
    return found


def _enter(found: Survey, entry: os.DirEntry[str], source: Path) -> bool:
    """Enter a thing in a survey. Returns whether it is a folder to go through."""
    if unread.is_left_out(entry.name):
        return False
    name = Path(entry.path).relative_to(source).as_posix()
    picture, folder = suffix_of(entry.name) in SUFFIXES, entry.is_dir(follow_symlinks=False)
    if picture and entry.is_file(follow_symlinks=False):
        found.names.append(name)
    elif picture:
        found.rejected[name] = LINK if entry.is_symlink() else FOLDER if folder else SPECIAL
    elif suffix_of(entry.name) in heic.SUFFIXES and entry.is_file(follow_symlinks=False):
        found.rejected[name] = heic.MISSING
    elif entry.is_symlink() and os.path.isdir(entry.path):  # entry.is_dir() raises for a link to itself
        found.links.append(name)
    elif not folder:
        unread.count(found.unread, name)
    return folder


def read_settled(file: Path, follow: bool = False, max_pixels: int | None = None) -> bytes:
    """The bytes of a file that nobody changes meanwhile.

    Raises Unsettled when somebody does, OSError when it is none, or a link and not to be followed, and TooLarge for
    more bytes than a picture of `max_pixels` takes, before one is read.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe that took its place would be waited for
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
