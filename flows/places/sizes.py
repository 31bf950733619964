"""Limits on the size of files that are read whole: larger ones are not pictures, and could use up all memory."""

from __future__ import annotations

from pathlib import Path

PER_PIXEL = 8  # bytes a pixel in an uncompressed file: 16 bits of red, green, blue and alpha
BESIDE = 64 << 20  # bytes of profile, EXIF, XMP and videos beside the pixels
LIST = 2 << 30  # bytes of a file of prompts or annotations


class TooLarge(OSError):
    """The file is larger than one of its kind can be, and is not read; the message gives the limit."""


def refuse_larger_picture(size: int, max_pixels: int) -> None:
    """Raises TooLarge for a file with more bytes than a picture or mask of so many pixels can have."""
    most = PER_PIXEL * max_pixels + BESIDE
    if size > most:
        raise TooLarge(
            f"its file has {size:,} bytes, more than any picture of {max_pixels:,} pixels takes ({most:,}), and so it "
            f"is not read; if it is a picture, --max-pixels {-(-(size - BESIDE) // PER_PIXEL)} allows it"
        )


def read_picture(file: Path, max_pixels: int) -> bytes:
    """The bytes of a user's picture or mask. Raises TooLarge."""
    refuse_larger_picture(file.stat().st_size, max_pixels)
    return file.read_bytes()


def read_list(file: Path) -> str:
    """The text (UTF-8) of a file of prompts or annotations. Raises ValueError for one that is too large."""
    if (size := file.stat().st_size) > LIST:
        raise ValueError(
            f"{file} has {size:,} bytes; files of more than {LIST:,} are not read, since they are read whole: split it"
        )
    return file.read_text(encoding="utf-8-sig")
