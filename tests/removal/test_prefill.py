"""A filled hole holds nothing of what was in it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from removal.prefill import prefill

Y, X = np.mgrid[0:256, 0:256]


@given(st.integers(0, 99), st.sampled_from([32, 128, 200]))
def test_only_the_hole_changes_and_the_input_stays(seed, side):
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (side, side, 3), np.uint8)
    mask = np.hypot(X[:side, :side] - side / 2, Y[:side, :side] - side / 3) < side / 5
    before = image.copy()
    filled = prefill(image, mask)
    assert (filled[~mask] == image[~mask]).all()
    assert (image == before).all()


@pytest.mark.parametrize("side", [64, 256])
def test_what_was_in_the_hole_does_not_matter(side):
    image = np.full((side, side, 3), 90, np.uint8)
    mask = np.zeros((side, side), bool)
    mask[10:40, 20:50] = True
    other = image.copy()
    other[mask] = (255, 0, 0)
    assert (prefill(image, mask) == prefill(other, mask)).all()


def test_a_smooth_picture_is_continued():
    image = np.repeat((60 + X * 0.5)[..., None], 3, axis=2).astype(np.uint8)
    mask = np.hypot(X - 128, Y - 128) < 30
    spoilt = np.where(mask[..., None], np.uint8(255), image)
    assert np.abs(prefill(spoilt, mask).astype(int) - image)[mask].mean() < 6  # of 30 across the hole


def test_a_hole_that_is_everything_is_grey():
    assert (prefill(np.zeros((32, 32, 3), np.uint8), np.ones((32, 32), bool)) == 127).all()
