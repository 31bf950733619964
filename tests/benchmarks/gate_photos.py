"""Whether the gate without weights tells bad fills of photos from good ones: `python -m tests.benchmarks.gate_photos`.

The truth says which is which (`tests/benchmarks/truth.py`). Photos are few, so the limit of what is unlike its
surroundings is also chosen anew without each photo in turn, and tried on that one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from removal.verify import LIMITS, Fit, fit
from tests.benchmarks.gate import area
from tests.benchmarks.photo_fills import fills
from tests.benchmarks.photos import Covered, covered
from tests.benchmarks.truth import failed

ALLOWED = 0.1  # of the good fills of the other photos may be doubted by a limit that is chosen without one
RESAMPLES = 500


@dataclass(frozen=True)
class Judged:
    """A fill of a photo, whether it failed by the truth (None: neither clearly), and how it fits."""

    photo: str
    made: str
    failed: bool | None
    fit: Fit


def main() -> None:
    """Print how many of each kind are doubted, the area under the curve with its interval, and the same left out."""
    judged = judged_fills(covered())
    clear = [one for one in judged if one.failed is not None]
    bad, doubt = np.array([one.failed for one in clear]), np.array([one.fit.doubt for one in clear])
    photos = np.array([one.photo for one in clear])
    print(f"{len(judged)} fills of {len(set(photos))} photos: {bad.sum()} failures, {(~bad).sum()} good\n")
    low, high = interval(doubt, bad, photos)
    print(f"area under the curve {area(doubt, bad):.3f} (95 % interval over photos: {low:.3f} to {high:.3f})\n")
    print("| fill | failures | doubted | good | doubted |\n|---|---|---|---|---|")
    for made in ["all", *dict.fromkeys(one.made for one in clear)]:
        some = np.array([made in ("all", one.made) for one in clear])
        print(f"| {made} | {_doubted(doubt[some & bad])} | {_doubted(doubt[some & ~bad])} |")
    left_out, limits = without_each(clear)
    print(
        f"\nWith limits chosen without the photo ({min(limits):.2f} to {max(limits):.2f}; it is {LIMITS['unlike']}): "
    )
    print(f"failures doubted {(left_out[bad] > 1).mean():.0%}, good {(left_out[~bad] > 1).mean():.0%}")


def judged_fills(holes: list[Covered]) -> list[Judged]:
    """Every hole filled in every way. What is pasted comes from a photo of another hole, always the same one."""
    found = []
    for number, one in enumerate(holes):
        for made, result in fills(one, holes[(number + 8) % len(holes)].truth).items():
            found.append(Judged(one.photo, made, failed(result, one.truth, one.mask), fit(result, one.mask)))
    return found


def without_each(clear: list[Judged]) -> tuple[np.ndarray, list[float]]:
    """The doubt of every fill by the lowest limit at which few good fills of the other photos are doubted."""
    doubts, limits = np.zeros(len(clear)), []
    rest = np.array([replace(one.fit, unlike=0.0).doubt for one in clear])
    unlike = np.array([one.fit.unlike for one in clear])
    for photo in dict.fromkeys(one.photo for one in clear):
        here = np.array([one.photo == photo for one in clear])
        good = ~here & np.array([not one.failed for one in clear])
        enough = (
            limit for limit in np.arange(0.3, 3.0, 0.02)
            if (np.maximum(rest, unlike / limit)[good] > 1).mean() <= ALLOWED
        )  # fmt: skip
        limits.append(float(next(enough, 3.0)))
        doubts[here] = np.maximum(rest, unlike / limits[-1])[here]
    return doubts, limits


def interval(doubt: np.ndarray, bad: np.ndarray, photos: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the area under the curve, the photos drawn again. Deterministic."""
    random, names = np.random.default_rng(0), np.unique(photos)
    rows = {name: np.flatnonzero(photos == name) for name in names}
    areas = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([rows[name] for name in random.choice(names, len(names))])
        if bad[drawn].any() and not bad[drawn].all():
            areas.append(area(doubt[drawn], bad[drawn]))
    low, high = np.percentile(areas, [2.5, 97.5])
    return float(low), float(high)


def _doubted(doubt: np.ndarray) -> str:
    return f"{len(doubt)} | {(doubt > 1).mean():.0%}" if len(doubt) else "0 | –"


if __name__ == "__main__":
    main()
