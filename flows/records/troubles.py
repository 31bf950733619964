"""The troubles of a target's pictures, grouped by similar reasons: failed first, then rejected, then doubtful."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

KINDS = ("failed", "rejected", "doubtful")
# Paths, quoted names and numbers, which differ from row to row. A path begins at the start of a word.
PARTICULAR = re.compile(r"(?<![^\s/])[^\s/]*/\S+|'[^']*'|\d+(\.\d+)?")


@dataclass
class Trouble:
    """A reason, in the words of the first picture that has it, and the number of pictures with it."""

    kind: str
    reason: str
    example: str
    count: int = 0


class Troubles:
    """Groups rows as they are read, so that memory grows with the reasons and not with the rows."""

    def __init__(self) -> None:
        self.groups: dict[tuple[str, str], Trouble] = {}

    def add(self, row: dict[str, Any]) -> None:
        for kind, reason in _of(row):
            key = (kind, PARTICULAR.sub("#", reason))
            self.groups.setdefault(key, Trouble(kind, reason, row["source"])).count += 1

    def count(self, kind: str) -> int:
        return sum(trouble.count for trouble in self.groups.values() if trouble.kind == kind)

    def worst_first(self) -> list[Trouble]:
        return sorted(self.groups.values(), key=lambda trouble: (KINDS.index(trouble.kind), -trouble.count))


def _of(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    reason = row["reason"] or "no reason is known"
    if row["status"] == "failed":
        yield "failed", reason
    if row["review"] == "reject":
        yield "rejected", row["note"] or "without a note"
    elif row["verdict"] == "doubtful" and row["review"] != "accept":
        yield "doubtful", re.sub(r".*\bdoubtful[^:;]*: ", "", reason)
