"""The entries of a folder, listed once for all who ask for names in it."""

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
SETTLED = 2 * SECOND  # after that, a folder's time shows every change; the clocks of disks are coarse


@dataclass(frozen=True)
class Entries:
    """The visible entries of a folder: `paths` by their composed names (NFC), `names` in order."""

    paths: dict[str, Path]
    names: list[str]

    def get(self, name: str) -> Path | None:
        """The entry of this name, composed or decomposed."""
        return self.paths.get(compose(name))

    def starting(self, start: str) -> Iterator[Path]:
        """The entries whose names begin with this, in order."""
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
    """A name with composed letters and accents (NFC); a Mac writes them decomposed."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


@functools.lru_cache(maxsize=64)
def _listed(folder: Path, changed: int, second: int) -> Entries:
    """The entries as of the time `changed`, kept for a `second` while that time may not show every change."""
    paths = {compose(name): folder / name for name in os.listdir(folder) if not name.startswith(".")}
    return Entries(paths, sorted(paths))
