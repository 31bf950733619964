"""Paths as people write them: with ~ for a home, or as file:// addresses."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

STORE = re.compile(r"(?!file:)([a-z][a-z0-9+.-]+):/+(?=[^/])", re.IGNORECASE)
FILE = re.compile(r"file:(//(localhost)?)?(?=/(?!/))", re.IGNORECASE)


def plain_path(place: str) -> str:
    """The path of a file:// address; anything else unchanged. Raises ValueError for ~ if no home is known."""
    if found := FILE.match(place):
        place = unquote(place[found.end() :], errors="surrogateescape")
    elif place.lower().startswith("file:"):
        raise ValueError(f"{place}: a file address has a whole path, such as file:///data/photos")
    elif place.startswith("~") and os.path.expanduser(place).startswith("~"):
        who = place.split("/")[0]
        raise ValueError(f"{place}: {who} is not a user's home on this machine; give the whole path, or ./{place}")
    return place


def local_path(place: str | Path) -> Path:
    """The same as a Path, with the home directory in place of ~."""
    return Path(os.path.expanduser(plain_path(str(place))))


def local_target(place: str | Path) -> Path:
    """The path of a target, for work on this machine only. Raises ValueError for an address in a store."""
    if found := STORE.match(str(place)):  # a Path has lost one of its slashes
        address = f"{found[1]}://{str(place)[found.end() :]}"
        raise ValueError(f"{address} is in a store; copy it to a folder of this machine for that")
    return local_path(place)
