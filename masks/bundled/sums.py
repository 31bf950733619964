"""Checks the bundled segmenters' weights against the hashes that training recorded."""

from __future__ import annotations

from pathlib import Path

from removal.weights import sums

SUMS = Path(__file__).with_name("SHA256SUMS")


def check() -> None:
    """Raises OSError for a weight file that differs from the recorded one."""
    sums.check(SUMS, "name weights of your own, as in --segmenter sam:FILE.pth")
