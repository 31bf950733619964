"""Pages of results for the eye."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from removal.bundled.scenes import Scene

SHEET = (6, 5)  # rows, and scenes in a row


def write_sheets(folder: Path, scenes: list[Scene], results: list[np.ndarray]) -> None:
    """Every scene as image, result and truth side by side, a page of thirty at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, columns = SHEET
    strips = [np.hstack([s.image, r, s.truth]) for s, r in zip(scenes, results, strict=True)]
    strips += [np.zeros_like(strips[0])] * (-len(strips) % (rows * columns))
    for page in range(len(strips) // (rows * columns)):
        first = page * rows * columns
        lines = [np.hstack(strips[first + k * columns : first + (k + 1) * columns]) for k in range(rows)]
        cv2.imwrite(str(folder / f"{page:02}.png"), np.vstack(lines)[..., ::-1])
