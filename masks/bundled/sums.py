"""Checks the bundled segmenters' weights against the hashes that training recorded."""

from __future__ import annotations

import hashlib
from pathlib import Path

SUMS = Path(__file__).with_name("SHA256SUMS")


def check() -> None:
    """Raises OSError for a weight file that is not the one recorded."""
    for line in SUMS.read_text().splitlines():
        wanted, name = line.split("  ", 1)
        file = SUMS.parent / name
        found = hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else None
        if found != wanted:
            raise OSError(
                f"{file} is not the file that was shipped (damaged, or exchanged by hand); install Cleanplate again, "
                f"or name weights of your own, as in --segmenter sam:FILE.pth"
            )
