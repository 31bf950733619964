"""How large a file may be that is read as a whole: larger ones are no pictures, and would take all memory."""

from __future__ import annotations

from pathlib import Path

PER_PIXEL = 8  # bytes of one in a file that is not packed: 16 bits of red, green, blue and alpha
BESIDE = 64 << 20  # bytes of profile, EXIF, XMP and videos beside the pixels
LIST = 2 << 30  # bytes of a file of prompts or annotations


class TooLarge(OSError):
    """A file that is not read, since it is larger than one of its kind can be; the message says the bound."""


def refuse_larger_picture(size: int, max_pixels: int) -> None:
    """Raise TooLarge for a file that has more bytes than a picture or mask of so many pixels takes."""
    most = PER_PIXEL * max_pixels + BESIDE
    if size > most:
        raise TooLarge(
            f"its file has {size:,} bytes, more than any picture of {max_pixels:,} pixels takes ({most:,}), and so it "
            f"is not read; if it is a picture, --max-pixels {-(-(size - BESIDE) // PER_PIXEL)} allows it"
        )


def read_picture(file: Path, max_pixels: int) -> bytes:
    """The bytes of a picture or mask of the user's. Raises TooLarge."""
    refuse_larger_picture(file.stat().st_size, max_pixels)
    return file.read_bytes()


def read_list(file: Path) -> str:
    """The text (UTF-8) of a file of prompts or annotations. Raises ValueError for one that is too large to be read."""
    if (size := file.stat().st_size) > LIST:
        raise ValueError(
            f"{file} has {size:,} bytes; it is read as a whole, and of more than {LIST:,} not at all: split it"
        )
    return file.read_text(encoding="utf-8-sig")
