"""COCO's run lengths (RLE): uncovered and covered pixels in turn, down the columns, plain or packed.

Decoded here, since pycocotools writes beyond its buffer when the runs are longer than the size in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

LARGEST = 50  # bits of a packed run; no picture has that many pixels


def mask_of_runs(drawn: Mapping[str, Any], height: int, width: int) -> np.ndarray:
    """H×W bool. Raises ValueError for runs that do not add up to exactly this picture."""
    size, counts = drawn.get("size"), drawn.get("counts")
    if size != [height, width]:
        raise ValueError(f"the size of its runs, {size!r:.40}, is not [{height}, {width}], that of its picture")
    runs = _unpacked(counts) if isinstance(counts, str) else counts
    # Added up as Python integers, which cannot overflow.
    if not isinstance(runs, list) or not all(_is_length(run) for run in runs) or sum(runs) != height * width:
        raise ValueError(f"its runs do not add up to {height}×{width} pixels")
    lengths = np.array(runs, np.int64)
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(width, height).T


def _is_length(run: Any) -> bool:
    return (type(run) is int or (type(run) is float and run.is_integer())) and 0 <= run < 1 << LARGEST


def _unpacked(text: str) -> list[int]:
    """COCO's packed runs: five bits a letter, a sixth if more follow; from the third on, differences."""
    counts: list[int] = []
    value = shift = 0
    for letter in text.encode("ascii", "replace"):
        five = letter - 48
        value |= (five & 0x1F) << shift
        shift += 5
        if shift > LARGEST:
            raise ValueError("its packed runs hold numbers beyond any picture")
        if five & 0x20:
            continue
        if five & 0x10:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    return counts
