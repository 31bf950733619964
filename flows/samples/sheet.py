"""One picture to show: before and after, photos in rows of their own, small pictures enlarged, two pairs to a row."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from flows.formats.pictures import decode
from flows.places.disk import write_whole

WIDE, GAP, HEAD = 640, 8, 34  # pixels: of a photo, between pictures, of the words above
WORDS = ("before", "after")
INK, QUALITY = (60, 60, 60), 92


@dataclass(frozen=True)
class Pair:
    """A picture before and after, both H×W×3 uint8."""

    before: np.ndarray
    after: np.ndarray

    @classmethod
    def read(cls, before: Path, after: Path) -> Pair:
        return cls(*(decode(file.read_bytes()).image for file in (before, after)))

    def at(self, width: int) -> list[Image.Image]:
        height = round(self.before.shape[0] * width / self.before.shape[1])
        pictures = (Image.fromarray(picture) for picture in (self.before, self.after))
        return [picture.resize((width, height), Image.Resampling.BICUBIC) for picture in pictures]


def write_sheet(file: Path, photos: list[Pair], small: list[Pair]) -> None:
    """Write a JPEG of them all, 2 photos wide; a pair of small ones that is left over has its row to itself."""
    half = (WIDE - GAP) // 2
    fours = [[*one.at(half), *two.at(half)] for one, two in zip(small[::2], small[1::2], strict=False)]
    rows = [photo.at(WIDE) for photo in photos] + fours
    rows += [small[-1].at(WIDE)] if len(small) % 2 else []
    heads = [k for k, row in enumerate(rows) if not k or len(row) != len(rows[k - 1])]
    height = sum(row[0].height + GAP for row in rows) + HEAD * len(heads)
    sheet, top = Image.new("RGB", (2 * WIDE + GAP, height), "white"), 0
    for k, row in enumerate(rows):
        if k in heads:
            _write_words(sheet, top, row)
            top += HEAD
        for column, picture in enumerate(row):
            sheet.paste(picture, (column * (picture.width + GAP), top))
        top += row[0].height + GAP
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=QUALITY)
    write_whole(file, out.getvalue())


def _write_words(sheet: Image.Image, top: int, row: list[Image.Image]) -> None:
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(22)
    for column, picture in enumerate(row):
        middle = column * (picture.width + GAP) + picture.width / 2
        pen.text((middle, top + HEAD / 2), WORDS[column % 2], INK, font, anchor="mm")
