"""Shards: a folder's pictures dealt out to several runs, each with a lock and records of its own until `merge`.

Names are dealt by their hash, not by their place in the list: a stride over sorted names would deal all later pictures
anew when one is added, and shards would repeat each other's work.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from flows.errors import UsageError
from flows.places.layout import PRIVATE
from flows.places.survey import Survey
from flows.settings.values import parse_part

SHARDS = f"{PRIVATE}/shards"
FOLDER = re.compile(r"([1-9]\d*)-of-([1-9]\d*)")


@dataclass(frozen=True, order=True)
class Shard:
    """The `index`-th (from 1) of `count` shares of a folder's names."""

    count: int
    index: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def records(self) -> str:
        """The folder of its records, below the target."""
        return f"{SHARDS}/{self.index}-of-{self.count}"

    def deal(self, there: Survey) -> Survey:
        """Its share of a survey."""
        names = [name for name in there.names if self.holds(name)]
        rejected = {name: why for name, why in there.rejected.items() if self.holds(name)}
        barred = {name: why for name, why in there.barred.items() if self.holds(name)}
        return Survey(names, rejected, there.links, barred, there.unread)

    def holds(self, name: str) -> bool:
        """True if a picture belongs to this share."""
        return self == holder(name, self.count)


def holder(name: str, count: int) -> Shard:
    """The shard of a picture, by its name alone, so that it is the same on every machine."""
    number = int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8], "big")
    return Shard(count, number % count + 1)


def records_of(shard: Shard | None) -> str:
    """The folder of a run's record files, below the target: "" for the target itself, or its shard's own."""
    return f"{shard.records}/" if shard else ""


def parse_shard(text: str) -> Shard | None:
    """The shard that a text such as "2/8" names; None for "". Raises ValueError for anything else."""
    part = parse_part(text)
    return Shard(part[1], part[0]) if part else None


def shards_of(target: Path) -> list[Shard]:
    """The shards of a target whose records are not merged yet, in order."""
    place = target / SHARDS
    found = [FOLDER.fullmatch(entry.name) for entry in place.iterdir()] if place.is_dir() else []
    return sorted(Shard(int(one[2]), int(one[1])) for one in found if one)


def refuse_unmerged(target: Path) -> None:
    """Raises UsageError for a target whose own records lag behind those of its shards."""
    if shards_of(target):
        raise UsageError(f"{target} has shards that are not merged: `cleanplate merge {target}` first")
