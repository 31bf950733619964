"""Detects a model that failed silently: NaN, or black in a hole whose surroundings are not black."""

from __future__ import annotations

import numpy as np

from removal.crops.crop import bounds

BLACK = 2  # levels; black and what rounding makes of it
DARK = 24  # levels of a night, in which black is no sign of anything
AROUND = 8  # pixels around the hole that tell how bright it is there


class Blank(ValueError):
    """A model returned an empty result; the message says what helps."""


def refuse_black(image: np.ndarray, mask: np.ndarray, result: np.ndarray) -> None:
    """Raises Blank for a hole that came back black where hardly anything around it is dark.

    image, result: H×W×3 uint8, mask: H×W bool, not empty. A model's half precision overflowed, or its safety checker
    blacked the picture out.
    """
    top, bottom, left, right = bounds(mask)
    window = np.s_[max(0, top - AROUND) : bottom + AROUND, max(0, left - AROUND) : right + AROUND]
    hole = mask[window]
    if result[window][hole].max() > BLACK or hole.all():
        return
    if (image[window][~hole].max(axis=-1) > DARK).mean() > 0.9:
        raise Blank("the model gave black where its surroundings are not; try --dtype float32, or another model")


def refuse_nan(finite: bool) -> None:
    """Raises Blank for numbers that are none, which would be cast to any colour."""
    if not finite:
        raise Blank("the model gave no numbers (NaN); its precision overflows here: try --dtype float32")
