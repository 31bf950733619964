"""Whether what was to go is gone: what speaks against it, and how much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from removal.verify import fit

SHARE = 0.2  # of the object's place; a phrase that names as much of it again is doubted
OVERLAP = 0.5  # of that place with what a point finds; a seam or a stain may have some of its shape


@dataclass(frozen=True)
class Verdict:
    """`doubt` is that of the judge who doubts most: 0 is perfect, up to 1 it is gone. `reasons` say what is wrong."""

    doubt: float
    reasons: tuple[str, ...] = ()

    @property
    def doubtful(self) -> bool:
        return self.doubt > 1

    @property
    def word(self) -> str:
        """As it stands in a row."""
        return "doubtful" if self.doubtful else "gone"


@dataclass(frozen=True)
class Redetection:
    """What the segmenter found of the same prompts where the object was, in the result.

    `share` of the object's place is found again by its text; `overlap` is the intersection over union of the place and
    what its points or boxes find now, which is always something; `same` is the share of what was found that has kept
    its colours. All 0..1.
    """

    share: float = 0.0
    overlap: float = 0.0
    same: float = 0.0

    @property
    def doubt(self) -> float:
        """0 when nothing is there, 1 at the limit. What a point finds counts for less where its colours are others."""
        return max(self.share / SHARE, self.overlap / (OVERLAP - (OVERLAP - SHARE) * self.same))

    @property
    def reason(self) -> str:
        still = "the object is still there" if self.same > 0.5 else "an object is there again"
        return f"{still} ({max(self.share, self.overlap):.0%} of its place, says the segmenter)"


def judge(result: np.ndarray, mask: np.ndarray, again: Redetection | None = None) -> Verdict:
    """The verdict on a result (H×W×3 uint8) under its mask (H×W bool, not empty).

    Two judges: whether the patch fits, and, where it could be asked, what the segmenter finds `again`.
    """
    fits = fit(result, mask)
    if again is None:
        return Verdict(fits.doubt, tuple(fits.reasons))
    found = [again.reason] if again.doubt > 1 else []
    return Verdict(max(fits.doubt, again.doubt), (*found, *fits.reasons))
