"""A folder on this machine, written so that a file appears whole or not at all, and never through a link."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from flows.errors import EnvironmentFault, LedAway, Obstructed

PART = re.compile(r"\.cleanplate-\w{8}\.part")  # the name of a file that is not complete yet, see `_appearing`
UMASK = os.umask(0)  # published files get the usual permissions
os.umask(UMASK)
FOLDER = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)  # permission to pass through is enough
LACKING = frozenset({errno.ENOENT, errno.ENAMETOOLONG, errno.EISDIR})  # no such file, as `unlink` says it


class Disk:
    """The files below one folder. `Bucket` has the same methods.

    A missing file raises FileNotFoundError; one that cannot be written raises EnvironmentFault, or Obstructed where
    something is in the way. The folder itself may be a link. Below it nothing is written, moved or removed through one,
    even if it appears at that very moment: every folder on the way is opened from the one above it.
    """

    def __init__(self, root: Path):
        self.root = root

    def path(self, relative: str) -> Path:
        """The path of a file. Raises ValueError for one that would lie outside."""
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
        return os.path.isfile(self.path(relative))  # False for a name too long for the file system

    def below(self, relative: str) -> Iterator[str]:
        """The names of all files below a folder, relative to it; none where there is no such folder."""
        top = os.path.join(self.path(relative), "")
        for directory, _, files in os.walk(top):
            yield from (os.path.join(directory, name)[len(top) :] for name in files)

    def write(self, relative: str, data: bytes | bytearray) -> None:
        """Write a file, whole or not at all. Raises ValueError for a name that is too long."""
        with self._writing(relative, "cannot be written") as file:
            file.write(data)

    def bring(self, source: Path, relative: str) -> bool:
        """Copy a file, whole or not at all, with its modification time. Returns False if that was done before."""
        path, seen = self.path(relative), source.stat()
        if path.is_file() and self.stat(relative) == (seen.st_size, seen.st_mtime_ns):
            return False
        with self._writing(relative, f"cannot be copied from {source}") as file, source.open("rb") as read:
            shutil.copyfileobj(read, file)
            file.flush()
            os.utime(file.fileno(), ns=(seen.st_atime_ns, seen.st_mtime_ns))
        return True

    def move(self, relative: str, to: str) -> None:
        """Rename a file, atomically. Raises FileNotFoundError if there is none."""
        with (
            self._in_words(to, "cannot be written"),
            self._folder_of(relative) as (folder, name),
            self._folder_of(to, make=True) as (into, new),
        ):
            try:
                os.replace(name, new, src_dir_fd=folder, dst_dir_fd=into)
            except OSError as error:
                if error.errno != errno.EXDEV:  # images/ may be a mount of its own
                    raise
                _copy(folder, name, into, new)

    def remove(self, relative: str) -> None:
        """Remove a file, if it is there. A link itself is removed; a file behind a linked folder counts as missing."""
        try:
            with self._folder_of(relative) as (folder, name):
                os.unlink(name, dir_fd=folder)
        except Obstructed:
            return
        except OSError as error:
            if error.errno not in LACKING:
                raise EnvironmentFault(f"{self.path(relative)} cannot be removed: {error.strerror or error}") from error

    def remove_empty_folders(self, relative: str) -> None:
        """Remove the folders above a removed file as long as they are empty."""
        above = PurePosixPath(relative).parent
        while above.name:
            try:
                with self._folder_of(str(above)) as (folder, name):
                    os.rmdir(name, dir_fd=folder)
            except (OSError, Obstructed):
                return
            above = above.parent

    def refuse_obstacles(self, relative: str) -> None:
        """Raises Obstructed if no file of that name could be written. Writes nothing."""
        with contextlib.suppress(OSError), self._folder_of(relative) as (folder, name):
            if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise _a_folder(self.path(relative))

    def clear(self, relative: str) -> None:
        """Remove a folder with everything in it, if it is there and not a link."""
        try:
            with self._folder_of(relative) as (folder, name):
                if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                    shutil.rmtree(name, dir_fd=folder)
        except Obstructed:
            return
        except OSError as error:
            if error.errno not in LACKING:
                raise EnvironmentFault(f"{self.path(relative)} cannot be removed: {error.strerror or error}") from error

    def sweep(self) -> None:
        """Remove the half-written files of killed runs. Only for the holder of the target: others may be writing."""
        for name in self.below("."):
            if PART.fullmatch(PurePosixPath(name).name):
                self.remove(name)

    @contextlib.contextmanager
    def _writing(self, relative: str, what: str) -> Iterator[BinaryIO]:
        with (
            self._in_words(relative, what),
            self._folder_of(relative, make=True) as (folder, name),
            _appearing(folder, name) as file,
        ):
            yield file

    @contextlib.contextmanager
    def _folder_of(self, relative: str, make: bool = False) -> Iterator[tuple[int, str]]:
        """The folder of a file, as a descriptor, and the file's name in it. Raises Obstructed, OSError."""
        inside(relative)
        *above, name = PurePosixPath(relative).parts
        if make:
            self.root.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as opened:
            folder = os.open(self.root, FOLDER)
            opened.callback(os.close, folder)
            for depth, part in enumerate(above):
                folder = self._enter(folder, "/".join(above[: depth + 1]), part, make)
                opened.callback(os.close, folder)
            yield folder, name

    def _enter(self, above: int, relative: str, part: str, make: bool) -> int:
        try:
            return os.open(part, FOLDER | os.O_NOFOLLOW, dir_fd=above)
        except FileNotFoundError:
            if not make:
                raise
            with contextlib.suppress(FileExistsError):  # another thread has just made it
                os.mkdir(part, dir_fd=above)
            return self._enter(above, relative, part, make=False)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            raise _obstacle(self.root, relative) from error

    @contextlib.contextmanager
    def _in_words(self, relative: str, what: str) -> Iterator[None]:
        try:
            yield
        except IsADirectoryError as error:
            raise _a_folder(self.path(relative)) from error
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise ValueError(f"its name is too long for {relative}") from error
            if isinstance(error, FileNotFoundError):  # removed at this very moment
                raise
            raise EnvironmentFault(
                f"{self.path(relative)} {what}: {error.strerror or error}; fix that, then run the same command again"
            ) from error


def _a_folder(path: Path) -> Obstructed:
    return Obstructed(f"{path} is a folder, and a file belongs there; rename it, or the picture")


def _obstacle(root: Path, relative: str) -> Obstructed:
    """The error for a link or a file where a folder of the target belongs."""
    path = root / relative
    if not path.is_symlink():
        return Obstructed(f"{path} is a file, and a folder belongs there; rename it, or the picture")
    if leads_out(root, path):
        return LedAway(f"{path} is a link that leads outside the target; put a folder of its own in its place")
    return Obstructed(f"{path} is a link, and nothing is written through one; put a folder in its place")


def leads_out(root: Path, path: Path) -> bool:
    """True if a link leads out of a folder or nowhere."""
    try:
        return not path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a link to itself
        return True


def write_whole(path: Path, data: bytes | bytearray) -> None:
    """Write a file that appears whole or not at all, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, FOLDER)
    try:
        with _appearing(folder, path.name) as file:
            file.write(data)
    finally:
        os.close(folder)


@contextlib.contextmanager
def _appearing(folder: int, name: str) -> Iterator[BinaryIO]:
    """A file that gets its name when the block ends without an error; otherwise it never existed.

    By rename, so that neither a link nor a hard link in its place is written through. By hand, since atomicwrites is
    unmaintained.
    """
    part = f".cleanplate-{secrets.token_hex(4)}.part"
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder)
    try:
        with open(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(handle)
        os.replace(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part, dir_fd=folder)
        raise


def _copy(folder: int, name: str, into: int, new: str) -> None:
    """Move a file to another file system: the copy is complete before the old file is removed."""
    with open(os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=folder), "rb") as read:
        seen = os.fstat(read.fileno())
        with _appearing(into, new) as file:
            shutil.copyfileobj(read, file)
            file.flush()
            os.utime(file.fileno(), ns=(seen.st_atime_ns, seen.st_mtime_ns))
    os.unlink(name, dir_fd=folder)


def inside(relative: str) -> None:
    """Raises ValueError for a relative path that leads out of its folder."""
    parts = PurePosixPath(relative)
    if parts.is_absolute() or ".." in parts.parts:
        raise ValueError(f"{relative!r} would be outside the target")
