"""Shipped weights are checked against the hashes recorded of them, so that a damaged or exchanged file is not used."""

from __future__ import annotations

import hashlib
from pathlib import Path


def check(sums: Path, instead: str, below: Path | None = None) -> None:
    """Raises OSError, with what to do `instead`, unless every file listed in `sums` is the one recorded.

    `sums` is in the format of `sha256sum --check`, with paths relative to its own folder. `below` leaves out the files
    that are not below that folder.
    """
    for line in sums.read_text().splitlines():
        wanted, name = line.split("  ", 1)
        file = sums.parent / name
        if (below is None or below in file.parents) and (not file.exists() or _hash(file) != wanted):
            raise OSError(
                f"{file} is not the file that was shipped (damaged, or exchanged by hand); install Cleanplate again, "
                f"or {instead}"
            )


def refuse_other(file: Path, sha256: str, instead: str) -> None:
    """Raises OSError, with what to do `instead`, unless a fetched file has its known digest."""
    if (found := _hash(file)) != sha256:
        raise OSError(
            f"{file} is not the file that is known by this name: its SHA-256 is {found}, not {sha256}; remove it and "
            f"fetch it again, or {instead}"
        )


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
