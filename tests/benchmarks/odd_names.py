"""Names that files may have and people, or attackers, give them: for soak.py."""

from __future__ import annotations

import os

ODD = (
    "two\nlines.png",
    "\nfirst.png",
    "failed: forged.png\n3 pictures done.png",
    "\x1b[2J\x1b]0;owned\x07.png",
    "carriage\rreturn\ttab.png",
    "line\u2028separator.png",
    "next\x85line.png",
    "\u202egnp.turned.png",
    os.fsdecode(b"byte-\xff-no-utf8.png"),
    os.fsdecode(b"latin-\xe9t\xe9.png"),
    "-leading-dash.png",
    "--prune.png",
    " spaces  around .png",
    "trailing dot. .png",
    "~root.png",
    "e\u0301t\u00e9.png",  # twins that look the same
    "\u00e9t\u00e9.png",
    "case.png",
    "CASE.png",
    "upper.PNG.png",
    "star*[0-9]?{stem}{name}.png",
    "x.png",  # the masks of one are called like the other
    "x_mask.png",
    "x_1.png",
    "x.png_mask.png",
    "%2e%2e%2f#fragment?query=1&a=b.png",
    "quote\"'`<script>alert(1)</script>.png".replace("/", "\u2215"),
    "back\\slash.png",
    "\U0001f469\u200d\U0001f3a8.png",
    f"{'long' * 60}.png",  # 244 bytes; its mask's name just fits into a folder
    f"{'l' * 251}.png",  # 255 bytes; its mask's does not
    "s3:/bucket.png",
    "folder\nof lines/\x1b[31mred.png",
    "-rf/*.png",
    "same.png",  # beside a folder that is called like its mask
    "same.png.png/inner.png",
    "deep/same.png",
    "deep/folder.png/inner.png.png",
    "dots.. /two dots.png",
)


def name_of(number: int) -> str:
    """The name of a picture below the source; the first have odd ones."""
    return ODD[number] if number < len(ODD) else f"d{number % 7}/p{number:05}.png"
