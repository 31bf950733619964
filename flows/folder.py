"""The only file that reads and writes the user's folders: names in, whole files out or none."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from flows.faults import EnvironmentFault
from flows.nearest import path_beside
from flows.pictures import SUFFIXES, suffix_of
from flows.source import Survey, read_settled, survey

PRIVATE = ".cleanplate"
CONTAINERS = {"png": (".png",), "jpeg": (".jpg", ".jpeg", ".jfif"), "webp": (".webp",)}  # the first when converted
PENDING = f"{PRIVATE}/pending"
PART = re.compile(r"\.cleanplate-\w{8}\.part")  # as `write_whole` names what it has not published
UMASK = os.umask(0)  # mkstemp makes files for their owner alone; a published file is as readable as any other
os.umask(UMASK)


class Folder:
    """A source that is only read and a target that is only written. Names are posix paths below the source."""

    def __init__(self, source: str, target: str, container: str = "same"):
        """Pictures are published as a `container` of CONTAINERS, or each as what it is (`same`).

        Raises ValueError for a source that is not there, or a target that is in it, is it, or holds it.
        """
        self.container = container
        given, self.target = Path(source).expanduser(), Path(target).expanduser()
        if not source or not given.exists():
            raise ValueError(f"there is no folder or picture at {source!r}{path_beside(given)}")
        if not target:
            raise ValueError("a target folder is needed, such as cleaned")
        if self.target.is_file():
            raise ValueError(f"the target {target} is a file; give a folder")
        self.single = given.name if given.is_file() else None
        self.source = given.parent if self.single else given
        if self.single and suffix_of(self.single) not in SUFFIXES:
            raise ValueError(f"{source} is not a picture ({' '.join(sorted(SUFFIXES))})")
        _apart(self.source.resolve(), self.target.resolve(), self.single)

    @classmethod
    def without_source(cls, target: Path) -> Folder:
        """A result alone, for what reads no source: it may have been made on another machine."""
        folder = cls.__new__(cls)
        folder.source = folder.target = target
        folder.single, folder.container = None, "same"
        return folder

    def survey(self) -> Survey:
        """Everything below the source that is called like a picture."""
        found = Survey([self.single]) if self.single else survey(self.source)
        refuse_collisions(found.names, self.container)
        return found

    def names(self) -> list[str]:
        """Every picture below the source, sorted. Links, devices and hidden folders are not followed."""
        return self.survey().names

    def image_name(self, name: str, as_it_is: bool = False) -> str:
        """Where a picture is published: with another suffix where it is converted, unless it stays `as_it_is`."""
        return image_name(name if as_it_is else suffixed(name, self.container))

    def read(self, name: str) -> bytes:
        """The bytes of a picture. Raises OSError, also when somebody is still writing it."""
        return read_settled(self.source / name, follow=self.single is not None)

    def stat(self, name: str) -> tuple[int, int]:
        """Size in bytes and time of the last change in nanoseconds."""
        seen = (self.source / name).stat()
        return seen.st_size, seen.st_mtime_ns

    def write(self, relative: str, data: bytes | bytearray) -> str:
        """Publish a file in the target, whole or not at all; returns its SHA-256."""
        path = self.path(relative)
        try:
            self._inside(path.parent)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise ValueError(f"its name is too long for {relative}") from error
            raise EnvironmentFault(
                f"{path} cannot be written: {error.strerror or error}; mend that, then run again"
            ) from error
        return hashlib.sha256(data).hexdigest()

    def bring(self, name: str, relative: str) -> bool:
        """Copy a file of the source, whole or not at all, with its time. Returns False where that was done already."""
        source, path = self.source / name, self.path(relative)
        seen = source.stat()
        if path.is_file() and (path.stat().st_size, path.stat().st_mtime_ns) == (seen.st_size, seen.st_mtime_ns):
            return False
        try:
            self._inside(path.parent)
            with appearing(path) as file, source.open("rb") as read:
                shutil.copyfileobj(read, file)
            os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        except OSError as error:
            raise EnvironmentFault(f"{name} cannot be copied to {path}: {error.strerror or error}") from error
        return True

    def has(self, relative: str) -> bool:
        """Whether there is such a file in the target."""
        return os.path.exists(self.path(relative))  # a name too long for the file system is not there either

    def move(self, relative: str, to: str) -> None:
        """Give a file of the target another name there, at once or not at all."""
        try:
            self._inside(self.path(to).parent)
            self.path(to).parent.mkdir(parents=True, exist_ok=True)
            os.replace(self.path(relative), self.path(to))
        except OSError as error:
            raise EnvironmentFault(f"{self.path(to)} cannot be written: {error.strerror or error}") from error

    def mask(self, name: str) -> Path:
        """The mask of a picture: the one that its row does not know yet, or the one in masks/."""
        pending = self.path(pending_mask_name(name))
        return pending if os.path.exists(pending) else self.path(mask_name(name))

    def pending_masks(self) -> list[tuple[str, str]]:
        """Names of pictures whose masks their rows do not know yet, with the paths of these masks."""
        place = self.path(PENDING)
        found = [Path(directory, file) for directory, _, files in os.walk(place) for file in files]
        files = [file.relative_to(place).as_posix() for file in found if file.suffix == ".png"]
        return [(file.removesuffix(".png"), f"{PENDING}/{file}") for file in sorted(files)]

    def sweep(self) -> None:
        """Take away what killed runs left half-written. Only for who holds the target: another's would be in work."""
        for directory, _, files in os.walk(self.target):
            for name in files:
                if PART.fullmatch(name):
                    self.remove(Path(directory, name).relative_to(self.target).as_posix())

    def path(self, relative: str) -> Path:
        """A path in the target; one that would lie outside it raises ValueError."""
        parts = PurePosixPath(relative)
        if parts.is_absolute() or ".." in parts.parts:
            raise ValueError(f"{relative!r} would be outside the target")
        return self.target / relative

    def remove(self, relative: str) -> None:
        """Take a file out of the target, if it is there."""
        try:
            self.path(relative).unlink(missing_ok=True)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:  # then it is not there
                raise EnvironmentFault(f"{relative} cannot be removed: {error.strerror or error}") from error

    def clear(self, relative: str) -> None:
        """Take a folder with all that is in it out of the target, if it is there and no link leads elsewhere."""
        path = self.path(relative)
        try:
            if path.is_dir() and path.resolve().is_relative_to(self.target.resolve()):
                shutil.rmtree(path)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise EnvironmentFault(f"{relative} cannot be removed: {error.strerror or error}") from error

    def _inside(self, directory: Path) -> None:
        """A folder of the target may be a link that somebody put there; nothing is written through it."""
        if not directory.resolve().is_relative_to(self.target.resolve()):
            raise ValueError(f"{directory} leads outside the target")


def write_whole(path: Path, data: bytes | bytearray) -> None:
    """Write a file that appears whole or not at all, with the folders above it."""
    with appearing(path) as file:
        file.write(data)


@contextlib.contextmanager
def appearing(path: Path) -> Iterator[BinaryIO]:
    """A file to be written, which takes its name when the block ends well, and else was never there.

    By hand, since atomicwrites is no longer kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(prefix=".cleanplate-", suffix=".part", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            os.fchmod(handle, 0o666 & ~UMASK)
            yield file
            file.flush()
            os.fsync(handle)
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        raise


def strip_name(name: str) -> str:
    return f"strips/{name}"


def process_name(name: str) -> str:
    return f"process/{name}.gif"  # with its own suffix too: a.jpg and a.png are two pictures


def attempts_name(name: str) -> str:
    return f"{PRIVATE}/attempts/{name}"


def pending_mask_name(name: str) -> str:
    """Where a mask waits until its row is committed: masks/ holds what rows tell of, and what was made by hand."""
    return f"{PENDING}/{name}.png"


def suffixed(name: str, container: str) -> str:
    """The name of a picture that is published as a container: its own, or with the container's suffix."""
    suffixes = CONTAINERS.get(container)
    return (
        name if not suffixes or suffix_of(name) in suffixes else f"{name.removesuffix(Path(name).suffix)}{suffixes[0]}"
    )


def refuse_collisions(names: list[str], container: str) -> None:
    """Raises ValueError for two pictures that would be published under one name."""
    taken: dict[str, str] = {}
    for name in names:
        other = taken.setdefault(suffixed(name, container), name)
        if other != name:
            raise ValueError(
                f"{other} and {name} would both become {suffixed(name, container)}; rename one of them, or leave out "
                f"--format"
            )


def image_name(name: str) -> str:
    return f"images/{name}"


def mask_name(name: str) -> str:
    return f"masks/{name}.png"


def _apart(source: Path, target: Path, single: str | None) -> None:
    inside = target.is_relative_to(source) and not (single and target != source)
    if inside or source.is_relative_to(target):
        raise ValueError(
            f"the target {target} and the source {source} lie in each other; choose a folder apart from it"
        )
