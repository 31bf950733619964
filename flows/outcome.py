"""Outcome: one picture's row."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

FOR_THE_MANIFEST = ("sha256_mask", "mask_outline")  # and not for the records


BY_HAND = "by hand"  # the segmenter of a mask that a person drew or corrected in masks/
KEPT = "the original is kept, as decided in the review"  # the reason of a row with that decision


@dataclass(frozen=True)
class Outcome:
    """One picture's row. All keys are always written, null where unknown."""

    source: str
    status: str
    reason: str | None = None
    file_name: str | None = None
    mask_file_name: str | None = None
    width: int | None = None
    height: int | None = None
    text: list[str] | None = None
    points: list | None = None
    boxes: list | None = None
    score: float | None = None
    objects: int | None = None
    mask_area: float | None = None
    segmenter: str | None = None
    model: str | None = None
    revision: str | None = None
    method: str | None = None
    steps: int | None = None
    strength: float | None = None
    seed: int | None = None
    dilate: int | None = None
    attempt: int | None = None
    seconds: float | None = None
    sha256_in: str | None = None
    sha256_out: str | None = None
    outside_max_diff: int | None = None
    verdict: str | None = None
    doubt: float | None = None
    review: str | None = None
    note: str | None = None
    settings: str | None = None
    sha256_mask: str | None = None  # of the mask file that the result was made with
    mask_outline: str | None = None  # of the mask, for a picture that is stored turned; see `mask_orientation`

    @classmethod
    def of(cls, row: dict[str, Any]) -> Outcome:
        """The outcome of a row; unknown keys, of a newer version, are left out."""
        return cls(**{key: value for key, value in row.items() if key in cls.__dataclass_fields__})

    @property
    def failed(self) -> bool:
        """True if the row belongs to failures.jsonl: the picture is not in images/ and will not be."""
        return self.status in ("failed", "skipped")

    def entry(self) -> dict[str, Any]:
        """The JSON object that the manifest keeps: the row, and the fields that rows leave out."""
        return self.row() | ({"mask_outline": self.mask_outline} if self.mask_outline else {})

    def row(self) -> dict[str, Any]:
        """The row for the record files."""
        return {key: value for key, value in asdict(self).items() if key not in FOR_THE_MANIFEST}


def digest(value: Any) -> str:
    """Sixteen hex digits for any JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
