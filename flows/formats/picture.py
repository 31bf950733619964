"""A decoded picture, and the two reasons why one cannot be used."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from flows.formats.metadata import Metadata


class UnsupportedPicture(Exception):
    """The picture is intact, but changing it would lose something; the message says what."""


class BrokenPicture(Exception):
    """The picture cannot be decoded; the message says why."""


@dataclass(frozen=True)
class Picture:
    """An upright picture: `image` H×W×3 uint8 RGB, `alpha` H×W uint8 or None, and what to keep when it is written.

    It is stored, and written again, with the EXIF `orientation`.

    `deep` are the pixels of one of 16 bits, H×W, H×W×3 or H×W×4 uint16, of which `image` and `alpha` are a view.
    `left_out` says what beside the picture will not be written again. `source` are the bytes of a JPEG, whose
    coefficients stay where nothing is painted.
    """

    image: np.ndarray
    alpha: np.ndarray | None
    grey: bool
    format: str
    metadata: Metadata = field(default_factory=Metadata)
    deep: np.ndarray | None = None
    left_out: str | None = None
    source: bytes | None = None
    orientation: int = 1
