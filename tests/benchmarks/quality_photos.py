"""How well holes of photos are filled whose background is known: `python -m tests.benchmarks.quality_photos`."""

from __future__ import annotations

import numpy as np

from removal.fills import patchmatch, telea
from removal.quality import measure, ring_mean
from removal.verify import fit
from tests.benchmarks.photos import Covered, covered
from tests.benchmarks.tables import half_interval

FILLS = {
    "object left": lambda image, mask: image,
    "mean colour of the ring": ring_mean,
    "`telea`": telea.fill,
    "`patchmatch`": patchmatch.fill,
}
COLUMNS = {"low_passed_psnr": 2, "ssim": 3, "seam": 2}  # and digits
MARGIN = 60  # pixels around a hole that are measured with it


def main() -> None:
    """Print a line for every way to fill: mean and half of the 95 % interval over holes, and how many are doubted."""
    holes = covered()
    print(f"{len(holes)} holes\n\n| on photos | low-passed | SSIM | seam | doubted |\n|---|---|---|---|---|")
    for name, fill in FILLS.items():
        results = [fill(one.image, one.mask) for one in holes]
        figures = [_measured(result, one) for result, one in zip(results, holes, strict=True)]
        cells = [_shown(np.array([row[key] for row in figures]), digits) for key, digits in COLUMNS.items()]
        doubted = np.mean([fit(result, one.mask).doubt > 1 for result, one in zip(results, holes, strict=True)])
        print(f"| {name} | {' | '.join(cells)} | {doubted:.0%} |", flush=True)


def _measured(result: np.ndarray, one: Covered) -> dict[str, float]:
    rows, columns = (np.flatnonzero(one.mask.any(axis=axis)) for axis in (1, 0))
    window = np.s_[max(0, rows[0] - MARGIN) : rows[-1] + MARGIN, max(0, columns[0] - MARGIN) : columns[-1] + MARGIN]
    return measure(*(np.ascontiguousarray(each[window]) for each in (result, one.truth, one.mask, one.object)))


def _shown(values: np.ndarray, digits: int) -> str:
    return f"{values.mean():.{digits}f} ± {half_interval(values):.{digits}f}"


if __name__ == "__main__":
    main()
