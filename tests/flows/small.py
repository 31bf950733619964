"""A folder of small pictures, each another, with masks beside it; and a job over it that needs no weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from flows.formats.encoding import encode_image
from flows.formats.mask_files import decode_mask, encode_mask
from flows.job import Job
from flows.outcome import Outcome
from flows.run import Silent

HEIGHT, WIDTH = 24, 32


class Following(Silent):
    """Remembers what was done, in its order, and what was said."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.rows: list[Outcome] = []
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)

    def did(self, outcome: Outcome) -> None:
        self.done.append(outcome.source)
        self.rows.append(outcome)


def small(place: Path, pictures: int = 4, **settings) -> Job:
    """A job over `place`/in with `place`/masks into `place`/out; what is there already stays."""
    for number in range(pictures):
        put(place, f"p{number:02}.png", number)
    given = {"model": "bundled", "method": "telea", "verify": False, "masks": str(place / "masks")}
    return Job(**given | {"source": str(place / "in"), "target": str(place / "out")} | settings)


def put(place: Path, name: str, number: int = 0) -> None:
    """One more picture, with its mask."""
    for folder, data in (("in", encode_image(image(number))), ("masks", encode_mask(mask()))):
        file = place / folder / (name if folder == "in" else f"{name}.png")
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)


def image(number: int = 0) -> np.ndarray:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([60 + x * 3, 90 + y * 4, 150 + 0 * x - number % 90], axis=-1).astype(np.uint8)


def mask(top: int = 8, left: int = 10, height: int = 6, width: int = 10) -> np.ndarray:
    drawn = np.zeros((HEIGHT, WIDTH), bool)
    drawn[top : top + height, left : left + width] = True
    return drawn


def rows(target: str | Path) -> dict[str, dict]:
    """The rows of both record files by source; one that stands in both is an error."""
    found = [
        json.loads(line)
        for file in ("metadata.jsonl", "failures.jsonl")
        for line in (Path(target) / file).read_text().splitlines()
    ]
    by_source = {row["source"]: row for row in found}
    assert len(by_source) == len(found)
    return by_source


def delivered(target: str | Path) -> dict[str, str]:
    """What a user gets: every file of images/ and masks/ with its SHA-256, half-written ones too."""
    found = {}
    for folder in ("images", "masks"):
        for file in sorted((Path(target) / folder).rglob("*")):
            if file.is_file():
                found[file.relative_to(target).as_posix()] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def mask_in(target: str | Path, name: str) -> np.ndarray:
    return decode_mask((Path(target) / "masks" / f"{name}.png").read_bytes())
