"""The cache of what was computed from weights: $CLEANPLATE_CACHE, else below the user's cache folder."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


class NoHome(RuntimeError):
    """This user has no home folder, as in containers that run under a number nobody has."""


def cache_folder(kind: str) -> Path:
    """The folder for one kind of cached files; it may not exist yet. Raises NoHome."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    place = os.path.expanduser(os.environ.get("CLEANPLATE_CACHE") or caches / "cleanplate")
    if place.startswith("~"):
        raise NoHome(
            f"{place}: this user has no home folder; set CLEANPLATE_CACHE, and HF_HOME for weights, to folders "
            "that can be written"
        )
    return Path(place) / kind


@contextlib.contextmanager
def appearing_whole(file: Path) -> Iterator[Path]:
    """A path to write to, which becomes `file` if nothing goes wrong. Of two at once the last one counts."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        yield part
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)
