"""A folder of this machine's file systems, written so that a file appears whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from flows.errors import EnvironmentFault

PART = re.compile(r"\.cleanplate-\w{8}\.part")  # as `write_whole` names what it has not published
UMASK = os.umask(0)  # mkstemp makes files for their owner alone; a published file is as readable as any other
os.umask(UMASK)


class Disk:
    """The files below one folder. `Bucket` has the same methods.

    What is not there raises FileNotFoundError; what cannot be written raises EnvironmentFault.
    """

    def __init__(self, root: Path):
        self.root = root

    def path(self, relative: str) -> Path:
        """Where a file is; one that would lie outside raises ValueError."""
        inside(relative)
        return self.root / relative

    def read(self, relative: str) -> bytes:
        return self.path(relative).read_bytes()

    def open(self, relative: str) -> BinaryIO:
        return self.path(relative).open("rb")

    def stat(self, relative: str) -> tuple[int, int]:
        """Size in bytes and time of the last change in nanoseconds."""
        seen = self.path(relative).stat()
        return seen.st_size, seen.st_mtime_ns

    def has(self, relative: str) -> bool:
        return os.path.exists(self.path(relative))  # a name too long for the file system is not there either

    def below(self, relative: str) -> Iterator[str]:
        """The names of all files below a folder, as seen from it; none where there is no such folder."""
        top = os.path.join(self.path(relative), "")
        for directory, _, files in os.walk(top):
            yield from (os.path.join(directory, name)[len(top) :] for name in files)

    def write(self, relative: str, data: bytes | bytearray) -> None:
        """Put a file in its place, whole or not at all. Raises ValueError for a name that is too long."""
        path = self.path(relative)
        try:
            self._refuse_links(path.parent)
            write_whole(path, data)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise ValueError(f"its name is too long for {relative}") from error
            raise EnvironmentFault(
                f"{path} cannot be written: {error.strerror or error}; mend that, then run again"
            ) from error

    def bring(self, source: Path, relative: str) -> bool:
        """Copy a file, whole or not at all, with its time. Returns False where that was done already."""
        path, seen = self.path(relative), source.stat()
        if path.is_file() and self.stat(relative) == (seen.st_size, seen.st_mtime_ns):
            return False
        try:
            self._refuse_links(path.parent)
            with appearing(path) as file, source.open("rb") as read:
                shutil.copyfileobj(read, file)
            os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        except OSError as error:
            raise EnvironmentFault(f"{source} cannot be copied to {path}: {error.strerror or error}") from error
        return True

    def move(self, relative: str, to: str) -> None:
        """Give a file another name, at once or not at all."""
        try:
            self._refuse_links(self.path(to).parent)
            self.path(to).parent.mkdir(parents=True, exist_ok=True)
            os.replace(self.path(relative), self.path(to))
        except OSError as error:
            raise EnvironmentFault(f"{self.path(to)} cannot be written: {error.strerror or error}") from error

    def remove(self, relative: str) -> None:
        """Take a file away, if it is there."""
        try:
            self.path(relative).unlink(missing_ok=True)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:  # then it is not there
                raise EnvironmentFault(f"{relative} cannot be removed: {error.strerror or error}") from error

    def clear(self, relative: str) -> None:
        """Take a folder with all that is in it away, if it is there and no link leads elsewhere."""
        path = self.path(relative)
        try:
            if path.is_dir() and path.resolve().is_relative_to(self.root.resolve()):
                shutil.rmtree(path)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise EnvironmentFault(f"{relative} cannot be removed: {error.strerror or error}") from error

    def sweep(self) -> None:
        """Take away what killed runs left half-written. Only for who holds the target: another's would be in work."""
        for name in self.below("."):
            if PART.fullmatch(PurePosixPath(name).name):
                self.remove(name)

    def _refuse_links(self, directory: Path) -> None:
        """A folder may be a link that somebody put there; nothing is written through it."""
        if not directory.resolve().is_relative_to(self.root.resolve()):
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


def inside(relative: str) -> None:
    """Raises ValueError for a path that would lie outside the folder that it is relative to."""
    parts = PurePosixPath(relative)
    if parts.is_absolute() or ".." in parts.parts:
        raise ValueError(f"{relative!r} would be outside the target")
