"""Whether what was to go is gone: what speaks against it, and how much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from removal.verify import fit


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


def judge(result: np.ndarray, mask: np.ndarray) -> Verdict:
    """The verdict on a result (H×W×3 uint8) under its mask (H×W bool, not empty), by whether the patch fits."""
    fits = fit(result, mask)
    return Verdict(fits.doubt, tuple(fits.reasons))
