"""A folder in an object store (S3, GCS, memory, ...) through fsspec: one request a file, and no renames."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from io import BytesIO
from threading import Lock
from typing import Any, BinaryIO

from flows.errors import EnvironmentFault, UsageError, pip
from flows.places.disk import inside
from flows.places.listing import Listing
from flows.settings.paths import local_path

# The first of these that a store reports tells one content of an object from another; times come last.
STAMPS = ("ETag", "etag", "md5Hash", "crc32c", "content_md5", "LastModified", "updated", "mtime", "modified", "created")


LISTINGS: dict[str, Listing] = {}  # by address, since the steps of a run open the target again and again
GUARDS: dict[str, Callable[[], None]] = {}  # by address: called before every change; raises if it is not ours
MISSING = (-1, -1)
CREATING = frozenset({"s3", "s3a", "gs", "gcs", "memory"})  # stores that can create what is not there and nothing else
SWAPPING = frozenset({"s3", "s3a"})  # ... and put a new object in the place of one version of the old
REPLACING = Lock()  # objects in a process's memory are replaced by one thread at a time
CHANGED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})  # in S3's words


def is_url(place: str) -> bool:
    """True if a place is in a store, such as s3://bucket/folder, rather than a path of this machine."""
    return "://" in place and not place.lower().startswith("file:")


def whole_path(place: str) -> str:
    """A place as a URL or an absolute path, so that it means the same in any working directory."""
    return place if is_url(place) else str(local_path(place).absolute())


class Bucket:
    """The files below one URL. An object store shows an object whole or not at all, so a write is one request.

    Every method raises FileNotFoundError for a missing object, PermissionError for one that may not be read, and
    EnvironmentFault when the store does not answer.
    """

    def __init__(self, url: str):
        """Raises UsageError for a URL of an unknown kind, EnvironmentFault when the library for it is missing."""
        self.url = url.rstrip("/")
        try:
            from fsspec.core import url_to_fs

            # A listing kept from before would hide what another machine has written since.
            self.fs, root = url_to_fs(url, use_listings_cache=False)
        except ImportError as error:
            kind = url.split("://")[0]
            library = f"{pip()} install 'cleanplate[{kind}]'"
            raise EnvironmentFault(f"{kind}:// needs one more library ({error}): {library}") from error
        except ValueError as error:
            raise UsageError(f"{self.url}: {error}") from error
        self.root = root.rstrip("/")

    def find(self, folder: str = "") -> dict[str, tuple[int, int]]:
        """Every file: its name below the URL, its size in bytes and its stamp, which changes with its content."""
        with self._asked("listed"):
            found = self.fs.find(self._path(folder), detail=True)
        return {path[len(self.root) + 1 :]: (int(info["size"]), stamp(info)) for path, info in found.items()}

    def stat(self, name: str) -> tuple[int, int]:
        """Size in bytes and stamp of one file."""
        known = self.known.files.get(name, MISSING) if self.known else None
        if known is MISSING:
            raise FileNotFoundError(f"{self.url}/{name}")
        if known and known[1] is not None:
            return known[0], known[1]
        with self._asked(name):
            info = self.fs.info(self._path(name))
        seen = int(info["size"]), stamp(info)
        if self.known:
            self.known.put(name, seen)
        return seen

    def read(self, name: str) -> bytes:
        with self._asked(name):
            return bytes(self.fs.cat_file(self._path(name)))

    @property
    def known(self) -> Listing | None:
        """The listing of this address that this process remembers, if any."""
        return LISTINGS.get(self.url)

    def is_file(self) -> bool:
        """True if the URL is that of a file rather than a folder."""
        with self._asked("looked up"):
            return bool(self.fs.isfile(self.root))

    def is_folder(self) -> bool:
        with self._asked("looked up"):
            return bool(self.fs.isdir(self.root))

    def has(self, name: str) -> bool:
        if self.known:
            return name in self.known.files
        with self._asked(name):
            return bool(self.fs.exists(self._path(name)))

    def below(self, folder: str) -> list[str]:
        """The names of all files below a folder, relative to it."""
        names = self.known.below(folder) if self.known else sorted(self.find(folder))
        return [name.removeprefix(f"{folder}/") for name in names]

    @contextmanager
    def listed(self) -> Iterator[None]:
        """Answer all questions about single files from one listing until the block ends. Only for the sole writer here.

        Changes that others make meanwhile are noticed by the next listing.
        """
        if self.known:
            yield
            return
        LISTINGS[self.url] = Listing(self.find())
        try:
            yield
        finally:
            del LISTINGS[self.url]

    def open(self, name: str) -> BinaryIO:
        return BytesIO(self.read(name))

    def write(self, name: str, data: bytes | bytearray) -> None:
        """Write a file, over an existing one. Raises ValueError for a name that would lie outside."""
        GUARDS.get(self.url, _nobodys)()
        with self._asked(name, changing=True):
            self.fs.pipe_file(self._path(name), bytes(data))
        if self.known:
            self.known.put(name, (len(data), None))

    def create(self, name: str, data: bytes) -> bool:
        """Write a new file. Raises FileExistsError if there is one.

        Returns True if the store guarantees that only one of two simultaneous writers succeeds; otherwise the later one
        wins.
        """
        with self._asked(name, changing=True):
            self.fs.pipe_file(self._path(name), data, mode="create")
        return self._is_one_of(CREATING)

    def read_version(self, name: str) -> tuple[bytes, str]:
        """A file's content, and the version that `replace` needs."""
        if not self._is_one_of(SWAPPING):
            data = self.read(name)
            return data, hashlib.sha256(data).hexdigest()
        with self._asked(name):  # the version first: if the file changes in between, the older version is refused
            version = str(self.fs.info(self._path(name))["ETag"])
        return self.read(name), version

    def replace(self, name: str, data: bytes, version: str) -> bool:
        """Replace that version of a file. Raises FileExistsError for another version, FileNotFoundError for none.

        Returns whether the store sees to it that of two at once one alone does; elsewhere the later one wins.
        """
        if self._is_one_of(SWAPPING):
            try:
                with self._asked(name, changing=True):
                    self.fs.pipe_file(self._path(name), data, IfMatch=version)
            except EnvironmentFault as error:
                if CHANGED & _codes_of(error):
                    raise FileExistsError(f"{self.url}/{name} was replaced in the meantime") from error
                raise
            return True
        with REPLACING:
            if self.read_version(name)[1] != version:
                raise FileExistsError(f"{self.url}/{name} was replaced in the meantime")
            with self._asked(name, changing=True):
                self.fs.pipe_file(self._path(name), data)
        return self._is_one_of({"memory"})

    def move(self, name: str, to: str) -> None:
        """Rename a file. Stores cannot rename, so the copy is complete before the old file is removed."""
        self.write(to, self.read(name))
        self.remove(name)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        GUARDS.get(self.url, _nobodys)()
        if not self.has(name):  # some stores raise for a missing file, and some do not
            return
        with self._asked(name, changing=True):
            self.fs.rm_file(self._path(name))
        if self.known:
            self.known.drop(name)

    def clear(self, folder: str) -> None:
        """Remove a folder with everything in it, if it is there."""
        for name in self.below(folder):
            self.remove(f"{folder}/{name}")

    def _is_one_of(self, stores: Collection[str]) -> bool:
        names = self.fs.protocol  # one name, or all of the store's
        return any(name in stores for name in ([names] if isinstance(names, str) else names))

    def _path(self, name: str) -> str:
        inside(name)
        return f"{self.root}/{name}" if name else self.root

    @contextmanager
    def _asked(self, what: str, changing: bool = False) -> Iterator[None]:
        """Turn a store's many kinds of errors into those of a folder.

        A refused read concerns that object alone; a refused write concerns all of them.
        """
        try:
            yield
        except (FileNotFoundError, FileExistsError):
            raise
        except PermissionError as error:
            if not changing:
                raise
            reason = f"{error}; renew or change the credentials"
            raise EnvironmentFault(f"{self.url}: {what}: {reason}, then run the same command") from error
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise EnvironmentFault(f"{self.url}: {what}: {reason}; fix that, then run the same command") from error


def _nobodys() -> None:
    """The guard of an address that is not held by a run."""


def _codes_of(error: BaseException | None) -> set[str]:
    """The store's own codes of an error, from the whole chain of exceptions."""
    codes = set()
    while error is not None:
        answer = getattr(error, "response", None)
        if isinstance(answer, dict):
            codes.add(str(answer.get("Error", {}).get("Code")))
        error = error.__cause__ or error.__context__
    return codes


def stamp(info: dict[str, Any]) -> int:
    """A number that changes with an object's content, from its store's metadata."""
    said = next((info[key] for key in STAMPS if info.get(key) is not None), "")
    if isinstance(said, datetime.datetime):
        said = said.timestamp()
    return int(hashlib.sha256(str(said).encode()).hexdigest()[:15], 16)
