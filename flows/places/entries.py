"""What lies in a folder, listed once for all who ask for names in it."""

from __future__ import annotations

import functools
import os
import time
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SECOND = 1_000_000_000  # nanoseconds
SETTLED = 2 * SECOND  # after which a folder's time tells of every change; the clocks of disks are coarse


@dataclass(frozen=True)
class Entries:
    """The entries of a folder that are not hidden: `paths` by their composed names, which are in order in `names`."""

    paths: dict[str, Path]
    names: list[str]

    def get(self, name: str) -> Path | None:
        """The entry of this name, whether or not its letters and accents are one there."""
        return self.paths.get(compose(name))

    def starting(self, start: str) -> Iterator[Path]:
        """The entries whose names begin so, in order."""
        begin = compose(start)
        for place in range(bisect_left(self.names, begin), len(self.names)):
            if not self.names[place].startswith(begin):
                return
            yield self.paths[self.names[place]]


def entries(folder: Path) -> Entries:
    """The entries of a folder; none where there is no such folder."""
    try:
        changed, now = folder.stat().st_mtime_ns, time.time_ns()
        return _listed(folder, changed, now // SECOND if now - changed < SETTLED else 0)
    except OSError:
        return Entries({}, [])


def compose(name: str) -> str:
    """A name whose letters and accents are one (NFC), as a Mac does not write them."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


@functools.lru_cache(maxsize=64)
def _listed(folder: Path, changed: int, second: int) -> Entries:
    """As it was at that time; within the same `second`, as long as its time may not tell of a change."""
    paths = {compose(name): folder / name for name in os.listdir(folder) if not name.startswith(".")}
    return Entries(paths, sorted(paths))
