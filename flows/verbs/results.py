"""status: what a target says of itself."""

from __future__ import annotations

from pathlib import Path

from flows.verbs.talk import Json, print_json


def status(target: Path, *, json: Json = False) -> int:
    """Counts per status, and what failed and why."""
    from flows.cards import counted, standing

    found = standing(target)
    if json:
        print_json({"target": str(target), **vars(found)})
        return 1 if found.failures else 0
    for name, count in counted(found.counts, found.doubtful):
        print(f"{count:8}  {name}")
    for row in found.failures:
        print(f"failed: {row['source']}: {row['reason']}")
    return 1 if found.failures else 0
