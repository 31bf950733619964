"""Matches the rows of a file with pictures whose names are not the same letter by letter."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection
from pathlib import PurePosixPath

from flows.places.entries import compose

UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # Label Studio's prefix to the name of an uploaded file


def partners(rows: Collection[str], names: Collection[str], by_ending: bool = False) -> dict[str, str]:
    """Rows by the names of their pictures: equal as they are, or once composed (NFC), since a Mac decomposes names.

    `by_ending`, a row also belongs to the only picture whose path ends like its own, if that has no other row.
    """
    known, rows = set(names), set(rows)
    found = {row: row for row in rows & known}
    composed = defaultdict(list)
    for name in known - rows:
        composed[compose(name)].append(name)
    for row in sorted(rows - known):
        if len(alike := composed[compose(row)]) == 1:
            found.setdefault(alike[0], row)
    if by_ending:
        found |= _by_ending(rows - set(found.values()), known, found)
    return found


def last_parts(row: str) -> set[str]:
    """Possible names of a row's picture without its folders."""
    last = compose(PurePosixPath(row).name)
    return {last, UPLOADED.sub("", last)}


def _by_ending(rows: set[str], names: set[str], taken: Collection[str]) -> dict[str, str]:
    if not rows:
        return {}
    by_last: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    written = {}
    for name in names:
        parts = PurePosixPath(compose(name)).parts
        by_last[parts[-1]].append(parts)
        written[parts] = name
    ends: dict[str, str] = {}
    for row in rows:
        parts = PurePosixPath(compose(row)).parts
        for last in sorted(last_parts(row), key=len, reverse=True):
            whole = (*parts[:-1], last)
            near = [other for other in by_last[last] if whole[-len(other) :] == other or other[-len(whole) :] == whole]
            if len(near) == 1:
                ends[row] = written[near[0]]
            if near:
                break
    rows_of = Counter(ends.values())
    return {name: row for row, name in ends.items() if rows_of[name] == 1 and name not in taken}
