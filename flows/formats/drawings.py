"""Pictures for people to look at: masks in white, panels side by side, sheets, the steps of a process as a GIF."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Pair = tuple[np.ndarray, np.ndarray]

WIDE, GAP, HEAD = 640, 8, 34  # pixels of a sheet: of a photo, between pictures, of the words above
WORDS = ("before", "after")
INK, QUALITY = (60, 60, 60), 92


def mask_in_white(mask: np.ndarray) -> np.ndarray:
    """A mask (H×W bool) as a white picture on black, H×W×3 uint8."""
    return np.repeat(mask[..., None] * np.uint8(255), 3, axis=2)


def strip(panels: list[np.ndarray], gap: int = 4) -> np.ndarray:
    """Panels (H×W×3 uint8 of one height) side by side, on white."""
    white = np.full((panels[0].shape[0], gap, 3), 255, np.uint8)
    return np.concatenate([part for panel in panels for part in (panel, white)][:-1], axis=1)


def before_and_after(photos: list[Pair], small: list[Pair]) -> bytes:
    """A JPEG of pairs of pictures (before and after, H×W×3 uint8): each photo in a row of its own, then the small ones.

    These are enlarged, two pairs to a row; one that is left over has its row to itself.
    """
    half = (WIDE - GAP) // 2
    fours = [[*_at(half, one), *_at(half, two)] for one, two in zip(small[::2], small[1::2], strict=False)]
    rows = [_at(WIDE, photo) for photo in photos] + fours
    rows += [_at(WIDE, small[-1])] if len(small) % 2 else []
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
    return out.getvalue()


def _write_words(sheet: Image.Image, top: int, row: list[Image.Image]) -> None:
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(22)
    for column, picture in enumerate(row):
        middle = column * (picture.width + GAP) + picture.width / 2
        pen.text((middle, top + HEAD / 2), WORDS[column % 2], INK, font, anchor="mm")


def _at(width: int, pair: Pair) -> list[Image.Image]:
    height = round(pair[0].shape[0] * width / pair[0].shape[1])
    return [Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC) for picture in pair]


def encode_gif(frames: list[np.ndarray], durations: list[int]) -> bytes:
    """Frames (H×W×3 uint8 of one size) as a GIF that loops for ever; each is shown for its milliseconds.

    What a frame leaves as it was is transparent in it, and so neither flickers nor takes any of its 256 colours.
    """
    shown = [_in_colours(frames[0], 256), *(_changes(*pair) for pair in pairwise(frames))]
    out = io.BytesIO()
    shown[0].save(out, "GIF", save_all=True, append_images=shown[1:], duration=durations, loop=0, disposal=1)
    return out.getvalue()


def _changes(before: np.ndarray, frame: np.ndarray) -> Image.Image:
    """`frame` in 255 colours of its own where it differs from the one `before` (both H×W×3 uint8), else transparent."""
    changed = (frame != before).any(axis=2)
    colours = _in_colours(frame[changed][None] if changed.any() else frame[:1, :1], 255)
    indices = np.full(changed.shape, 255, np.uint8)
    indices[changed] = np.asarray(colours)[0][: changed.sum()]
    shown = Image.fromarray(indices)
    shown.putpalette(colours.getpalette() or [])
    shown.info["transparency"] = 255
    return shown


def _in_colours(image: np.ndarray, count: int) -> Image.Image:
    """`image` (H×W×3 uint8) in `count` colours of its own. Not dithered: specks are more visible than bands."""
    area = image.shape[0] * image.shape[1]
    # Median cut, the default, spends its colours on large areas and loses a highlight. Means move until 1% still do.
    return Image.fromarray(image).quantize(count, Image.Quantize.MAXCOVERAGE, kmeans=max(1, area // 100))
