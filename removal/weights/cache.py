"""The cache of what was computed from weights: $CLEANPLATE_CACHE, else below the user's cache folder."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


def cache_folder(kind: str) -> Path:
    """The folder for one kind of cached files; it may not exist yet."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return Path(os.environ.get("CLEANPLATE_CACHE") or caches / "cleanplate").expanduser() / kind


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
