"""A mask is parted into what one crop can show well."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from removal.crops.crop import cut
from removal.crops.grouping import MOST, group


def boxes(shape: tuple[int, int], *drawn: tuple[int, int, int, int]) -> np.ndarray:
    """A mask with boxes of (left, top, width, height)."""
    mask = np.zeros(shape, bool)
    for left, top, width, height in drawn:
        mask[top : top + height, left : left + width] = True
    return mask


@given(st.integers(0, 999), st.integers(1, 90), st.integers(1, 90), st.sampled_from([8, 16, 64]))
def test_every_masked_pixel_has_one_part_and_no_other_pixel_has_any(seed, height, width, resolution):
    mask = np.random.default_rng(seed).random((height, width)) < 0.1
    numbers = group(mask, resolution, 2.0)
    assert ((numbers > 0) == mask).all()
    assert set(np.unique(numbers)) - {0} == set(range(1, int(numbers.max(initial=0)) + 1))


def test_objects_far_apart_get_a_crop_each():
    mask = boxes((800, 1200), (20, 30, 40, 60), (1100, 700, 50, 50))
    numbers = group(mask, 128, 2.0)
    assert (numbers[30:90, 20:60] == numbers[40, 30]).all()
    assert set(np.unique(numbers)) == {0, 1, 2}


def test_what_fits_into_one_crop_at_full_resolution_stays_together():
    mask = boxes((800, 1200), (20, 30, 10, 10), (60, 70, 10, 10))
    assert group(mask, 128, 2.0).max() == 1


def test_a_picture_no_larger_than_the_model_is_never_parted():
    mask = boxes((128, 128), (0, 0, 8, 8), (120, 120, 8, 8))
    assert group(mask, 128, 2.0).max() == 1


def test_a_large_object_takes_its_neighbours_along():
    mask = boxes((2000, 2000), (500, 500, 600, 600), (1150, 700, 30, 30))
    assert group(mask, 128, 2.0).max() == 1


def test_birds_all_over_the_sky_get_a_crop_each():
    random = np.random.default_rng(0)
    mask = np.zeros((3000, 4000), bool)
    for top, left in zip(random.integers(2990, size=40), random.integers(3990, size=40), strict=True):
        mask[top : top + 8, left : left + 8] = True
    assert 20 < group(mask, 64, 2.0).max() <= 40


def test_specks_without_number_are_bounded():
    mask = np.random.default_rng(0).random((1500, 2000)) < 0.001
    numbers = group(mask, 64, 2.0)
    assert 1 <= numbers.max() <= MOST
    assert ((numbers > 0) == mask).all()


def test_a_crop_around_one_part_shows_every_hole_in_it():
    mask = boxes((600, 600), (280, 280, 40, 40), (330, 280, 5, 5), (590, 590, 5, 5))
    around = boxes((600, 600), (280, 280, 40, 40))
    crop = cut(np.zeros((600, 600, 3), np.uint8), mask, 100, 2.0, around)
    assert crop.side == 100
    assert crop.mask.sum() == 40 * 40 + 5 * 5
