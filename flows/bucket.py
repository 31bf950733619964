"""A folder in a store of objects (S3, GCS, memory, ...) by fsspec: one request a file, and no rename anywhere."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flows.faults import EnvironmentFault, UsageError

# Of what a store says of an object, the first of these tells one content from another; times come last.
STAMPS = ("ETag", "etag", "md5Hash", "crc32c", "content_md5", "LastModified", "updated", "mtime", "modified", "created")


def is_url(place: str) -> bool:
    """Whether a place is in a store, such as s3://bucket/folder, rather than a path of this machine."""
    return "://" in place and not place.startswith("file://")


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
            self.fs, root = url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
        except ImportError as error:
            kind = url.split("://")[0]
            library = f"pip install 'cleanplate[{kind}]'"
            raise EnvironmentFault(f"{kind}:// needs one more library ({error}): {library}") from error
        except ValueError as error:
            raise UsageError(f"{self.url}: {error}") from error
        self.root = root.rstrip("/")

    def find(self) -> dict[str, tuple[int, int]]:
        """Every file: its name below the URL, its size in bytes and its stamp, which changes with its content."""
        with self._asked("listed"):
            found = self.fs.find(self.root, detail=True)
        return {path[len(self.root) + 1 :]: (int(info["size"]), stamp(info)) for path, info in found.items()}

    def stat(self, name: str) -> tuple[int, int]:
        """Size in bytes and stamp of one file, asked of the store."""
        with self._asked(name):
            info = self.fs.info(self._path(name))
        return int(info["size"]), stamp(info)

    def read(self, name: str) -> bytes:
        with self._asked(name):
            return bytes(self.fs.cat_file(self._path(name)))

    def write(self, name: str, data: bytes | bytearray) -> None:
        """Put a file in its place, over what is there."""
        with self._asked(name):
            self.fs.pipe_file(self._path(name), bytes(data))

    def create(self, name: str, data: bytes) -> None:
        """Put a file where there is none. Raises FileExistsError where there is: of two at once, one has made it."""
        with self._asked(name):
            self.fs.pipe_file(self._path(name), data, mode="create")

    def remove(self, name: str) -> None:
        """Take a file away, if it is there."""
        with self._asked(name):
            if self.fs.exists(self._path(name)):  # some stores complain of what is not there, and some do not
                self.fs.rm_file(self._path(name))

    def clear(self, folder: str) -> None:
        """Take a folder and all that is in it away, if it is there."""
        with self._asked(folder):
            for path in self.fs.find(self._path(folder)):
                self.fs.rm_file(path)

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

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
