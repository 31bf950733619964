"""Rows from record files, which may be of an older or newer version, or edited by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from flows.errors import UsageError
from flows.outcome import Outcome

KEYS = [*Outcome("", "").row()]


def rows_of(lines: Iterable[str | bytes], name: str) -> Iterator[dict[str, Any]]:
    """The rows of a record file called `name`, with null for missing keys. Raises UsageError with the line."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _wrong(name, number, f"not JSON ({error})") from error
        if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("source", "status")):
            raise _wrong(name, number, 'not a row of a result: it has no "source" and "status"')
        yield row | {key: None for key in KEYS if key not in row}


def _wrong(name: str, number: int, what: str) -> UsageError:
    return UsageError(f"{name}, line {number}: {what}; remove the file and run the same job again, which rewrites it")
