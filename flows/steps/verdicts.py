"""Verdicts on results: is the object gone, and what speaks against it?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from removal.verify import fit

SHARE = 0.2  # of the object's place; a result is doubted if its phrase names as much of it again
OVERLAP = 0.5  # overlap of that place with a point's find; a seam or a stain may have some of its shape


@dataclass(frozen=True)
class Verdict:
    """`doubt` is the more sceptical judge's: 0 is perfect, above 1 is doubtful. `reasons` say what is wrong."""

    doubt: float
    reasons: tuple[str, ...] = ()

    @property
    def doubtful(self) -> bool:
        return self.doubt > 1

    @property
    def word(self) -> str:
        """The verdict as rows give it."""
        return "doubtful" if self.doubtful else "gone"


@dataclass(frozen=True)
class Redetection:
    """The segmenter's finds for the same prompts at the object's place in the result.

    `share` of that place is found again by its text; `overlap` is the intersection over union of the place and the
    finds of its points or boxes, which always find something; `same` is the share of the find that has kept its
    colours. All 0..1.
    """

    share: float = 0.0
    overlap: float = 0.0
    same: float = 0.0

    @property
    def doubt(self) -> float:
        """0 if nothing is there, 1 at the limit. A point's find counts less if its colours have changed."""
        return max(self.share / SHARE, self.overlap / (OVERLAP - (OVERLAP - SHARE) * self.same))

    @property
    def reason(self) -> str:
        still = "the object is still there" if self.same > 0.5 else "an object is there again"
        return f"{still} ({max(self.share, self.overlap):.0%} of its place, says the segmenter)"


def judge(result: np.ndarray, mask: np.ndarray, again: Redetection | None = None) -> Verdict:
    """The verdict on a result (H×W×3 uint8) under its mask (H×W bool, not empty).

    There are two judges: the fit of the patch, and the segmenter's finds `again`, if it could be asked. The more
    sceptical one wins.
    """
    fits = fit(result, mask)
    if again is None:
        return Verdict(fits.doubt, tuple(fits.reasons))
    found = [again.reason] if again.doubt > 1 else []
    return Verdict(max(fits.doubt, again.doubt), (*found, *fits.reasons))
