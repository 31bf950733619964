"""The article's finding, measured: `python -m tests.benchmarks.article`, and at equal steps with `--work training`.

Latent blending with a plain checkpoint is said to paint a new object where the old one was, and a checkpoint fine-tuned
for inpainting to remove it. Without --work the shipped checkpoints are compared, and what helps blending. With it two
children of one parent that saw the same batches and the same loss for the same number of steps: `control` with 4
channels, `inpainting-equal` with 9; `python -m tests.training` leaves them there. Blending is as the article has
it (no pre-fill, full strength) where nothing else is said.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from flows.steps.loading import quiet_libraries
from removal.bundled.scenes import Scene, scene
from tests.benchmarks.quality import AS_WRITTEN, FIRST, fill
from tests.benchmarks.tables import report

SHOWN = (1, 2, 5, 7, 8)  # scenes in the picture, one a row: where plain blending fails


def main() -> None:
    """Print the table; with --picture also write scenes × methods."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    quiet_libraries()
    scenes = [scene(FIRST + k) for k in range(given.count)]
    fills = _at_equal_steps(given.work, scenes) if given.work else _as_shipped(scenes)
    report("blending and fine-tuning", scenes, fills)
    if given.picture:
        columns = [[s.image for s in scenes], *fills.values(), [s.truth for s in scenes]]
        rows = [np.hstack([column[k] for column in columns]) for k in SHOWN if k < len(scenes)]
        cv2.imwrite(str(given.picture), np.vstack(rows)[..., ::-1])


def _at_equal_steps(work: Path, scenes: list[Scene]) -> dict[str, list[np.ndarray]]:
    return {
        "parent, blending": fill(str(work / "parent"), scenes, **AS_WRITTEN),
        "control, blending": fill(str(work / "control"), scenes, **AS_WRITTEN),
        "fine-tuned, equal steps": fill(str(work / "inpainting-equal"), scenes),
        "fine-tuned, all steps": fill("bundled", scenes),
    }


def _as_shipped(scenes: list[Scene]) -> dict[str, list[np.ndarray]]:
    fills = {
        "fine-tuned": fill("bundled", scenes),
        "fine-tuned, hole attention": fill("bundled", scenes, attention="hole"),
        "blending": fill("bundled-base", scenes, **AS_WRITTEN),
        "blending, hole attention": fill("bundled-base", scenes, **AS_WRITTEN, attention="hole"),
    }
    for strength in (0.99, 0.9, 0.75, 0.6):
        fills[f"blending, pre-fill, {strength}"] = fill("bundled-base", scenes, method="blending", strength=strength)
    return fills


if __name__ == "__main__":
    main()
