"""A folder in a store of objects (S3, GCS, memory, ...) by fsspec: one request a file, and no rename anywhere."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from flows.errors import EnvironmentFault, UsageError
from flows.places.disk import inside
from flows.places.listing import Listing

# Of what a store says of an object, the first of these tells one content from another; times come last.
STAMPS = ("ETag", "etag", "md5Hash", "crc32c", "content_md5", "LastModified", "updated", "mtime", "modified", "created")


LISTINGS: dict[str, Listing] = {}  # by address; the steps of a run open the target again and again
MISSING = (-1, -1)


def is_url(place: str) -> bool:
    """Whether a place is in a store, such as s3://bucket/folder, rather than a path of this machine."""
    return "://" in place and not place.startswith("file://")


def whole_path(place: str) -> str:
    """A place as it is understood anywhere: a URL, or a path from the root of this machine."""
    return place if is_url(place) else str(Path(place).expanduser().absolute())


class Bucket:
    """The files below one URL. An object store shows an object whole or not at all, so a write is one request.

    Every method raises FileNotFoundError for what is not there, PermissionError for what may not be seen, and
    EnvironmentFault when the store does not answer.
    """

    def __init__(self, url: str):
        """Raises UsageError for an address of no known store, EnvironmentFault when its library is missing."""
        self.url = url.rstrip("/")
        try:
            from fsspec.core import url_to_fs

            # A listing kept from before would hide what another machine has written since.
            self.fs, root = url_to_fs(url, use_listings_cache=False)
        except ImportError as error:
            kind = url.split("://")[0]
            library = f"pip install 'cleanplate[{kind}]'"
            raise EnvironmentFault(f"{kind}:// needs one more library ({error}): {library}") from error
        except ValueError as error:
            raise UsageError(f"{self.url}: {error}") from error
        self.root = root.rstrip("/")
        self.guard: Callable[[], None] = lambda: None  # called before anything is changed; raises if that is not ours

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
        """What is remembered of this address, by whoever in this process."""
        return LISTINGS.get(self.url)

    def is_file(self) -> bool:
        """Whether the URL is that of a file rather than a folder."""
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
        """The names of all files below a folder, as seen from it."""
        names = self.known.below(folder) if self.known else sorted(self.find(folder))
        return [name.removeprefix(f"{folder}/") for name in names]

    @contextmanager
    def listed(self) -> Iterator[None]:
        """One listing answers for all single questions until the block ends. Only for who alone writes here.

        What others change by hand meanwhile is noticed by the next listing.
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
        """Put a file in its place, over what is there. Raises ValueError for a name that would lie outside."""
        self.guard()
        with self._asked(name):
            self.fs.pipe_file(self._path(name), bytes(data))
        if self.known:
            self.known.put(name, (len(data), None))

    def create(self, name: str, data: bytes) -> None:
        """Put a file where there is none. Raises FileExistsError where there is: of two at once, one has made it."""
        with self._asked(name):
            self.fs.pipe_file(self._path(name), data, mode="create")

    def move(self, name: str, to: str) -> None:
        """Give a file another name: stores have no rename, so the new one is made whole before the old one goes."""
        self.write(to, self.read(name))
        self.remove(name)

    def remove(self, name: str) -> None:
        """Take a file away, if it is there."""
        self.guard()
        if not self.has(name):  # some stores complain of what is not there, and some do not
            return
        with self._asked(name):
            self.fs.rm_file(self._path(name))
        if self.known:
            self.known.drop(name)

    def clear(self, folder: str) -> None:
        """Take a folder and all that is in it away, if it is there."""
        for name in self.below(folder):
            self.remove(f"{folder}/{name}")

    def _path(self, name: str) -> str:
        inside(name)
        return f"{self.root}/{name}" if name else self.root

    @contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        """What a store answers in its many ways becomes what a folder would say."""
        try:
            yield
        except (FileNotFoundError, FileExistsError, PermissionError):
            raise
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise EnvironmentFault(f"{self.url}: {what}: {reason}; mend that, then run the same command") from error


def stamp(info: dict[str, Any]) -> int:
    """A number that is another one when the object holds something else, from what its store says of it."""
    said = next((info[key] for key in STAMPS if info.get(key) is not None), "")
    if isinstance(said, datetime.datetime):
        said = said.timestamp()
    return int(hashlib.sha256(str(said).encode()).hexdigest()[:15], 16)
