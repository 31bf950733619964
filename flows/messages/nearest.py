"""Suggestions for names that do not exist."""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

ENTRIES = 10_000  # entries of a folder to compare


def name_beside(name: str, known: Iterable[str]) -> str:
    """A suggestion such as "; did you mean 'steps'?" for 'stpes'; empty if no known name is near."""
    near = get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def path_beside(path: str | Path) -> str:
    """The same for a missing path, from the entries beside its first part that is wrong."""
    whole = Path(path)
    for part in (*reversed(whole.parents), whole):
        if part.exists() or part == Path():
            continue
        try:
            with os.scandir(part.parent) as entries:
                near = get_close_matches(part.name, [entry.name for entry in islice(entries, ENTRIES)], 1)
        except OSError:
            return ""
        meant = [part.parent / name / whole.relative_to(part) for name in near]
        return f"; did you mean {str(meant[0])!r}?" if meant and meant[0].exists() else ""
    return ""
