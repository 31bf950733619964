"""The target of a job: files appear in it whole or not at all, on a disk or in a store."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Set
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

from flows.errors import UsageError
from flows.places.bucket import Bucket, is_url
from flows.places.disk import Disk
from flows.places.layout import PENDING, PictureFiles, files_of, image_name
from flows.places.one_file import refuse_without_records
from flows.places.survey import is_file_name
from flows.settings.paths import local_path
from removal.weights.cache import cache_folder


class Target:
    """A folder that results are written to. Paths are relative to it.

    `root` is the folder of this machine that holds its ledger: the target itself, unless that is in a store.
    """

    def __init__(self, target: str, container: str = "same"):
        """Pictures are published as a `container` of SUFFIXES_OF, or each in its own format (`same`).

        Raises ValueError for a file.
        """
        self.container = container
        self.files, self.root = _files_of(target)

    @classmethod
    def existing(cls, target: Path | str) -> Target:
        """The target of an earlier run, perhaps on another machine. Raises UsageError for a file without records."""
        refuse_without_records(str(target))
        return cls(str(target))

    def image_name(self, name: str, as_it_is: bool = False) -> str:
        """The path of a published picture, with another suffix if it is converted, unless it stays `as_it_is`."""
        return image_name(name) if as_it_is else files_of(name, self.container).image

    def write(self, relative: str, data: bytes | bytearray) -> str:
        """Publish a file in the target, whole or not at all; returns its SHA-256."""
        self.files.write(relative, data)
        return hashlib.sha256(data).hexdigest()

    def bring(self, file: Path, relative: str) -> bool:
        """Copy a file here, whole or not at all, with its modification time. Returns False if that was done before."""
        return Disk(self.root).bring(file, relative)

    def has(self, relative: str) -> bool:
        """True if there is such a file in the target."""
        return is_file_name(relative) and self.files.has(relative)

    def read(self, relative: str) -> bytes:
        """The bytes of a file of the target. Raises FileNotFoundError."""
        return self.files.read(_known(relative))

    def open(self, relative: str) -> BinaryIO:
        """A file of the target to be read line by line. Raises FileNotFoundError."""
        return self.files.open(_known(relative))

    def stat(self, relative: str) -> tuple[int, int]:
        """Size in bytes of a file of the target, and a number that changes with it. Raises FileNotFoundError."""
        return self.files.stat(_known(relative))

    def below(self, relative: str) -> Iterable[str]:
        """The names of all files below a folder of the target, relative to it, in any order."""
        return self.files.below(relative)

    def move(self, relative: str, to: str) -> None:
        """Rename a file of the target; the old one is removed once the new one is complete."""
        self.files.move(relative, to)

    def mask(self, name: str) -> str:
        """The path of a picture's mask: the one that its row does not know yet, or the one in masks/."""
        files = files_of(name)
        return files.pending_mask if self.has(files.pending_mask) else files.mask

    @contextmanager
    def listed(self) -> Iterator[None]:
        """Answer questions about single files of a target in a store from one listing until the block ends."""
        with self.files.listed() if isinstance(self.files, Bucket) else nullcontext():
            yield

    def pending_masks(self) -> list[tuple[str, str]]:
        """Names of pictures with masks that their rows do not know yet, and the paths of these masks."""
        files = sorted(file for file in self.below(PENDING) if file.endswith(".png"))
        return [(file.removesuffix(".png"), f"{PENDING}/{file}") for file in files]

    def sweep(self) -> None:
        """Remove the half-written files of killed runs. Only for the holder of the target: others may be writing."""
        if isinstance(self.files, Disk):  # in a store nothing is ever half-written
            self.files.sweep()

    @property
    def address(self) -> str:
        """The target's whole path, or its URL."""
        return self.files.url if isinstance(self.files, Bucket) else str(self.root.resolve())

    @property
    def name(self) -> str:
        """The target's name for people."""
        return self.address.rpartition("/")[2]

    def path(self, relative: str) -> Path:
        """A path in the target, for work that needs a folder on this machine. Raises ValueError for one outside it."""
        if isinstance(self.files, Bucket):
            raise UsageError(f"{self.address} is in a store; copy it to a folder of this machine for that")
        return Disk(self.root).path(relative)

    def remove(self, relative: str) -> None:
        """Remove a file from the target, if it is there."""
        if is_file_name(relative):  # otherwise it would be another picture's
            self.files.remove(relative)

    def clear(self, relative: str) -> None:
        """Remove a folder of the target with everything in it, if it is there."""
        if is_file_name(relative):
            self.files.clear(relative)

    def remove_thumbnails(self, files: PictureFiles, but: Collection[str] = ()) -> None:
        """Remove a picture's thumbnails, whichever result they show."""
        for start in files.thumbnails.values():
            place, _, owner = start.rpartition("/")
            for name in self.below(place):
                if name.startswith(owner) and f"{place}/{name}" not in but:
                    self.remove(f"{place}/{name}")

    def remove_traces(self, name: str) -> None:
        """Remove the strip, the process, the attempts and the thumbnails of an earlier result."""
        files = files_of(name)
        self.remove(files.strip)
        self.remove(files.process)
        self.clear(files.attempts)
        self.remove_thumbnails(files)

    def remove_picture(self, name: str, published: Iterable[str], but: Set[str]) -> None:
        """Remove every file of a picture, also what it was `published` as, except the paths in `but`."""
        files = files_of(name, self.container)
        self.remove_traces(name)
        self.clear(files.decided)
        self.clear(files.staged().attempts)
        self.remove_thumbnails(files.staged())
        paths = (*files.files, image_name(name), *published, *files.staged().files)
        for path in paths:
            if path not in but:
                self.remove(path)
        if isinstance(self.files, Disk):
            for path in filter(is_file_name, (*paths, files.attempts, files.decided)):
                self.files.remove_empty_folders(path)

    def refuse_obstacles(self, relative: str) -> None:
        """Raises Obstructed if a file could not be written there, such as over a folder."""
        if isinstance(self.files, Disk):
            self.files.refuse_obstacles(relative)


def _known(relative: str) -> str:
    """Raises FileNotFoundError for a name that no file of a target can have."""
    if not is_file_name(relative):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), relative)
    return relative


def _files_of(target: str) -> tuple[Disk | Bucket, Path]:
    """The holder of a target's files, and the folder on this machine with its ledger."""
    if is_url(target):
        return Bucket(target), ledger_place(target)
    path = local_path(target)
    if path.is_file():
        raise ValueError(f"the target {target} is a file; give a folder")
    return Disk(path), path


def ledger_place(url: str) -> Path:
    """The folder for the ledger of a target in a store, since SQLite needs a disk."""
    return cache_folder("targets") / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]
