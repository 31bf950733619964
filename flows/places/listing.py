"""The files below an address, remembered while a single run writes there, to save requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import PurePosixPath
from threading import Lock

Seen = tuple[int, int | None]  # size, and the stamp where it was asked for


class Listing:
    """The files of an address and their folders, kept up to date by the writer. Safe for threads."""

    def __init__(self, files: Mapping[str, Seen]):
        self.files: dict[str, Seen] = {}
        self.folders: defaultdict[str, set[str]] = defaultdict(set)
        self.lock = Lock()
        for name, seen in files.items():
            self.put(name, seen)

    def put(self, name: str, seen: Seen) -> None:
        with self.lock:
            if name not in self.files:
                for folder in PurePosixPath(name).parents:
                    self.folders[str(folder)].add(name)
            self.files[name] = seen

    def drop(self, name: str) -> None:
        with self.lock:
            if self.files.pop(name, None) is not None:
                for folder in PurePosixPath(name).parents:
                    self.folders[str(folder)].discard(name)

    def below(self, folder: str) -> list[str]:
        """The names of all files below a folder."""
        with self.lock:
            return sorted(self.folders.get(folder, ()))
