"""Checks the bundled checkpoints' weights against the hashes that training recorded."""

from __future__ import annotations

from pathlib import Path

from removal.weights import sums


def check(folder: Path) -> None:
    """Raises OSError unless every weight file below `folder`, one of the bundled checkpoints, is the one recorded."""
    instead = "keep weights of your own in another folder and name that folder"
    sums.check(Path(__file__).with_name("SHA256SUMS"), instead, below=folder)
