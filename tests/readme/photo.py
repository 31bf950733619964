"""The README's photo before and after, cleaned by `--model classic`: `python -m tests.readme.photo`.

The photo is scikit-image's rocket: SpaceX's launch of DSCOVR, released into the public domain.
"""

from __future__ import annotations

import json
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from flows.formats.pictures import decode
from flows.job import Job
from flows.run import run

NAME = "rocket.jpg"
ASKED = {"box": ("285,115,360,408", "303,118,341,160"), "model": "classic"}
HERE = Path(__file__).parent
GAP = 8  # pixels of white between two pictures


def photo() -> bytes:
    """The photo as scikit-image brings it."""
    return files("skimage").joinpath("data", NAME).read_bytes()


def cleaned(place: Path) -> tuple[Path, dict[str, Any]]:
    """Clean the photo below `place`. Returns the target and the photo's row."""
    source, target = place / "photos", place / "cleaned"
    source.mkdir(parents=True)
    (source / NAME).write_bytes(photo())
    run(Job(source=str(source), target=str(target), **ASKED))
    return target, json.loads((target / "metadata.jsonl").read_text())


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        target, row = cleaned(Path(place))
        before, after = (
            decode((folder / NAME).read_bytes()).image for folder in (Path(place) / "photos", target / "images")
        )
    gap = np.full((before.shape[0], GAP, 3), 255, np.uint8)
    Image.fromarray(np.hstack([before, gap, after])).save(HERE / "photo.jpg", quality=90)
    print(json.dumps(row))


if __name__ == "__main__":
    main()
