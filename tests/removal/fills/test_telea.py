"""Removal without weights."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from removal import load_remover
from removal.fills.telea import fill


def test_a_smooth_gradient_is_grown_over_a_hole_almost_exactly():
    y, x = np.mgrid[0:80, 0:100].astype(float)
    gradient = np.stack([x + 60, y + 90, 200 - (x + y) / 2], axis=-1).astype(np.uint8)
    scribbled, mask = gradient.copy(), np.zeros((80, 100), bool)
    mask[30:45, 40:60] = True
    scribbled[mask] = (255, 0, 0)
    filled = fill(scribbled, mask)
    assert np.abs(filled.astype(int) - gradient).max() <= 12
    assert np.abs(scribbled.astype(int) - gradient).max() > 100


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_only_the_hole_changes_whatever_its_place_and_size(height, width, data):
    image = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    mask = np.zeros((height, width), bool)
    mask[data.draw(st.integers(0, height - 1)) :, : data.draw(st.integers(1, width))] = True
    before = image.copy()
    filled = fill(image, mask)
    assert (filled[~mask] == image[~mask]).all()
    assert (image == before).all()


def test_a_hole_is_filled_the_same_in_a_large_picture_as_in_a_window_of_it(picture):
    image, mask = picture(300, 300), np.zeros((300, 300), bool)
    mask[140:150, 140:160] = True
    window = np.s_[100:200, 100:200]
    whole, part = fill(image, mask), fill(image[window].copy(), mask[window])
    assert (whole[window] == part).all()


def test_seeds_do_not_matter(picture):
    image, mask = picture(30, 30), np.zeros((30, 30), bool)
    mask[10:20, 10:20] = True
    first, second = (load_remover(method="telea")([image], [mask], [seed])[0] for seed in (1, 2))
    assert (first == second).all()
