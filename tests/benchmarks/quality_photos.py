"""How well holes of photos are filled whose background is known: `python -m tests.benchmarks.quality_photos`.

Every fill, every bundled checkpoint by the method that it is for, and the models whose weights are on this machine.
`--sheet FILE` draws some of the results beside each other, of photos whose rights are cleared.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from flows.job import Job
from flows.steps.loading import quiet_libraries
from flows.steps.needed_weights import missing
from removal import PRESETS, load_remover
from removal.fills import patchmatch, telea
from removal.quality import measure, ring_mean
from removal.verify import fit
from tests.benchmarks.photos import Covered, covered
from tests.benchmarks.tables import half_interval

Fills = Callable[[list[Covered]], list[np.ndarray]]
COLUMNS = {"low_passed_psnr": 2, "ssim": 3, "seam": 2}  # and digits
MARGIN = 60  # pixels around a hole that are measured with it
SHEET = (
    ("astronaut.png", 0),
    ("coffee.png", 1),
    ("chelsea.png", 1),
    ("brick.png", 0),
)  # photo and hole; free as the next photo is, which gives the object
SIDE = 150  # pixels of a picture on the sheet
SHOWN = ("object left", "`telea`", "`patchmatch`", "`bundled-base`, blending", "`bundled`, inpainting", "truth")


def main() -> None:
    """Print a line for every way to fill: mean and half of the 95 % interval over holes, and how many are doubted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sheet", type=Path)
    given = parser.parse_args()
    quiet_libraries()
    holes = covered()
    made = {"truth": [one.truth for one in holes]}
    print(f"{len(holes)} holes\n\n| on photos | low-passed | SSIM | seam | doubted |\n|---|---|---|---|---|")
    for name, fills in ways().items():
        results = made[name] = fills(holes)
        figures = [_measured(result, one) for result, one in zip(results, holes, strict=True)]
        cells = [_shown(np.array([row[key] for row in figures]), digits) for key, digits in COLUMNS.items()]
        doubted = np.mean([fit(result, one.mask).doubt > 1 for result, one in zip(results, holes, strict=True)])
        print(f"| {name} | {' | '.join(cells)} | {doubted:.0%} |", flush=True)
    if given.sheet:
        draw(given.sheet, holes, made)


def ways() -> dict[str, Fills]:
    """Every way to fill that works on this machine, by its name in the table."""
    found: dict[str, Fills] = {
        "object left": _each(lambda image, mask: image),
        "mean colour of the ring": _each(ring_mean),
        "`telea`": _each(telea.fill),
        "`patchmatch`": _each(patchmatch.fill),
        "`bundled`, inpainting": _by("bundled"),
        "`bundled-base`, blending": _by("bundled-base", "blending"),
        "`bundled-style`, blending": _by("bundled-style"),
    }
    here = [
        name
        for name, row in PRESETS.items()
        if row.repo and not row.is_local and not missing(Job(model=name, masks="m"))
    ]
    return found | {f"`{name}`": _by(name) for name in here}


def draw(file: Path, holes: list[Covered], made: dict[str, list[np.ndarray]]) -> None:
    """A row for every hole of SHEET and a column for every way of SHOWN, cut around the hole."""
    lines = []
    for photo, number in SHEET:
        (k, *_) = [k for k, one in enumerate(holes) if one.photo == photo][number:]
        window = _window(holes[k])
        parts = [cv2.resize(made[name][k][window], (SIDE, SIDE), interpolation=cv2.INTER_AREA) for name in SHOWN]
        lines.append(np.hstack(parts))
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.vstack(lines)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


def _each(fill: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Fills:
    return lambda holes: [fill(one.image, one.mask) for one in holes]


def _by(model: str, method: str = "auto") -> Fills:
    def fills(holes: list[Covered]) -> list[np.ndarray]:
        remove = load_remover(model, method=method, offline=True)
        return remove([one.image for one in holes], [one.mask for one in holes], [*range(len(holes))])

    return fills


def _measured(result: np.ndarray, one: Covered) -> dict[str, float]:
    window = _window(one)
    return measure(*(np.ascontiguousarray(each[window]) for each in (result, one.truth, one.mask, one.object)))


def _window(one: Covered) -> tuple[slice, slice]:
    rows, columns = (np.flatnonzero(one.mask.any(axis=axis)) for axis in (1, 0))
    return np.s_[max(0, rows[0] - MARGIN) : rows[-1] + MARGIN, max(0, columns[0] - MARGIN) : columns[-1] + MARGIN]


def _shown(values: np.ndarray, digits: int) -> str:
    return f"{values.mean():.{digits}f} ± {half_interval(values):.{digits}f}"


if __name__ == "__main__":
    main()
