"""The article's finding, at equal steps: `python -m tests.benchmarks.article [--work training]`.

Latent blending with a plain checkpoint is said to paint a new object where the old one was, and a checkpoint fine-tuned
for inpainting to remove it. Two children of one parent saw the same batches and the same loss for the same number of
steps: `control` with 4 channels, `inpainting-equal` with 9. Both fill the same holes. `python -m removal.bundled.train`
leaves all of them in --work; without --work only what ships is compared. Blending is as the article has it (no
pre-fill, full strength); below stand what helps it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from flows.weights import quiet_libraries
from removal.bundled.scenes import scene
from tests.benchmarks.quality import FIRST, fill, report, simple_fills

PLAIN = {"method": "blending", "prefill": False}
SHOWN = (0, 4, 8, 3, 14, 22)  # scenes in the picture, one a row


def main() -> None:
    """Print the table; with --picture also write scenes × methods."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    quiet_libraries()
    scenes = [scene(FIRST + k) for k in range(given.count)]
    fills = {"object left": simple_fills(scenes)["object left"]}
    fills["base, blending"] = fill("bundled-base", scenes, **PLAIN)
    if given.work:
        fills["parent, blending"] = fill(str(given.work / "parent"), scenes, **PLAIN)
        fills["control, blending"] = fill(str(given.work / "control"), scenes, **PLAIN)
        fills["fine-tuned, equal steps"] = fill(str(given.work / "inpainting-equal"), scenes)
    fills["fine-tuned, all steps"] = fill("bundled", scenes)
    shown = [*fills.values(), [s.truth for s in scenes]]
    fills["base, hole attention"] = fill("bundled-base", scenes, **PLAIN, attention="hole")
    for strength in (0.99, 0.9, 0.75, 0.6):
        fills[f"base, pre-fill, {strength}"] = fill("bundled-base", scenes, method="blending", strength=strength)
    report("blending and fine-tuning", scenes, fills)
    if given.picture:
        rows = [np.hstack([column[k] for column in shown]) for k in SHOWN if k < len(scenes)]
        cv2.imwrite(str(given.picture), np.vstack(rows)[..., ::-1])


if __name__ == "__main__":
    main()
