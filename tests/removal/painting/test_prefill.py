"""A filled hole holds nothing of what was in it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from removal.painting.prefill import prefill

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


@given(st.integers(0, 99), st.sampled_from([64, 256]))
def test_what_was_in_the_hole_does_not_matter_even_at_the_pictures_edge(seed, side):
    random = np.random.default_rng(seed)
    image = random.integers(60, 120, (side, side, 3), np.uint8)
    mask = np.zeros((side, side), bool)
    top, left = random.integers(-20, side - 5, 2)
    mask[max(top, 0) : top + 40, max(left, 0) : left + 40] = True
    black, white = image.copy(), image.copy()
    black[mask], white[mask] = 0, 255
    assert (prefill(black, mask) == prefill(white, mask)).all()


def test_a_smooth_picture_is_continued():
    image = np.repeat((60 + X * 0.5)[..., None], 3, axis=2).astype(np.uint8)
    mask = np.hypot(X - 128, Y - 128) < 30
    spoilt = np.where(mask[..., None], np.uint8(255), image)
    assert np.abs(prefill(spoilt, mask).astype(int) - image)[mask].mean() < 6  # of 30 across the hole


def test_a_hole_that_is_everything_is_grey():
    assert (prefill(np.zeros((32, 32, 3), np.uint8), np.ones((32, 32), bool)) == 127).all()
