"""Growing and filling masks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from masks.morphology import LEAST_RADIUS, SMALL_RADIUS, dilate, dilation_radius, fill_holes, hull, outline

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=24), elements=st.booleans())


def square(side: int, size: int = 200, at: int = 10) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[at : at + side, at : at + side] = True
    return mask


@pytest.mark.parametrize("radius", [1, 2, 5, 12, 30])
def test_dilation_grows_a_pixel_to_a_disc_of_the_radius(radius):
    mask = np.zeros((81, 81), bool)
    mask[40, 40] = True
    grown = dilate(mask, radius)
    y, x = np.mgrid[-40:41, -40:41]
    distance = np.hypot(x, y)
    assert grown[distance <= radius].all()
    assert not grown[distance > radius + 0.5].any()  # half a pixel: where the disc's edge is rounded


@given(MASKS, st.integers(0, 9), st.integers(0, 9))
def test_dilation_contains_the_mask_and_grows_with_the_radius(mask, one, other):
    less, more = dilate(mask, min(one, other)), dilate(mask, max(one, other))
    assert less[mask].all()
    assert more[less].all()
    assert (less.shape, less.dtype) == (mask.shape, bool)


def disc_of_opencv(mask: np.ndarray, radius: int) -> np.ndarray:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    wide = cv2.dilate(np.pad(mask.astype(np.uint8), radius), disc)
    return wide[radius : radius + mask.shape[0], radius : radius + mask.shape[1]] > 0


@given(MASKS, st.integers(1, 40))
def test_a_large_dilation_is_pixel_for_pixel_the_one_by_opencvs_disc(mask, radius):
    assert (dilate(mask, radius) == disc_of_opencv(mask, radius)).all()


@pytest.mark.parametrize("radius", [SMALL_RADIUS, SMALL_RADIUS + 1, 37, 50, 101, 160])
@pytest.mark.parametrize("share", [0.5, 0.01, 0.0005])
def test_so_it_is_for_objects_and_specks_in_a_picture(radius, share):
    mask = np.random.default_rng(radius).random((300, 420)) < share
    mask[:9] = mask[200:] = False
    assert (dilate(mask, radius) == disc_of_opencv(mask, radius)).all()


@given(MASKS, st.integers(34, 10**30))
def test_a_dilation_as_long_as_the_picture_covers_it_all_at_once(mask, radius):
    assert (dilate(mask, radius) == mask.any()).all()


@pytest.mark.parametrize("dilation", [10**30, "1e300%", "1" + "0" * 300 + "%"])
def test_no_radius_is_longer_than_the_picture(dilation):
    assert dilation_radius(dilation, square(5)) == 283


@given(MASKS, st.integers(1, 9))
def test_dilation_reaches_the_same_pixels_wherever_the_mask_lies(mask, radius):
    margin = 2 * radius
    wide = np.pad(mask, margin)
    inner = np.s_[margin : margin + mask.shape[0], margin : margin + mask.shape[1]]
    assert (dilate(wide, radius)[inner] == dilate(mask, radius)).all()


@given(MASKS, st.integers(0, 5))
def test_dilation_never_changes_its_input_nor_returns_it(mask, radius):
    before = mask.copy()
    grown = dilate(mask, radius)
    assert (mask == before).all()
    assert not np.shares_memory(grown, mask)


@given(MASKS)
def test_dilation_by_0_leaves_a_mask_as_it_is(mask):
    assert (dilate(mask, 0) == mask).all()


def test_dilation_cannot_be_negative():
    with pytest.raises(ValueError, match="0 pixels or more, not -1"):
        dilate(square(4), -1)


def test_fill_holes_fills_what_is_enclosed_and_nothing_else():
    mask = square(40)
    mask[20:30, 20:30] = False
    mask[40:45, 0:50] = False  # open to the outside
    filled = fill_holes(mask)
    assert filled[20:30, 20:30].all()
    mask[20:30, 20:30] = True
    assert (filled == mask).all()


@given(MASKS)
def test_filling_holes_keeps_every_pixel_and_is_done_after_one_time(mask):
    before = mask.copy()
    filled = fill_holes(mask)
    assert filled[mask].all()
    assert (fill_holes(filled) == filled).all()
    assert (mask == before).all()


@given(MASKS)
def test_a_hull_contains_its_mask_and_is_done_after_one_time(mask):
    before = mask.copy()
    whole = hull(mask)
    assert whole[mask].all()
    assert (hull(whole) == whole).all()
    assert (mask == before).all()
    assert not np.shares_memory(whole, mask)


@given(MASKS)
def test_a_hull_reaches_as_far_as_its_mask_and_is_the_same_seen_from_every_side(mask):
    whole = hull(mask)
    if mask.any():
        assert outline(whole) == outline(mask)
    assert (hull(mask.T) == whole.T).all()
    assert (hull(mask[::-1]) == whole[::-1]).all()


def test_a_hull_is_filled_up_to_the_straight_lines_between_its_corners():
    mask = np.zeros((31, 41), bool)
    mask[5:25, 3] = mask[24, 3:33] = True  # an L: its hull is a triangle
    y, x = np.mgrid[0:31, 0:41]
    assert (hull(mask) == ((x >= 3) & (y <= 24) & (29 * (y - 5) >= 19 * (x - 3)))).all()


def test_every_object_has_a_hull_of_its_own():
    mask = np.zeros((40, 60), bool)
    for left in (5, 35):
        mask[5:30, left] = mask[29, left : left + 15] = True
    whole = hull(mask)
    assert not whole[:, 21:34].any()
    assert (whole[:, 5:20] == whole[:, 35:50]).all()


def test_objects_whose_hulls_touch_become_one():
    cup = square(40)
    cup[10:40, 20:40] = False
    inside = cup.copy()
    inside[15:20, 29:31] = True
    assert (hull(inside) == hull(cup)).all()
    bar = cup.copy()
    bar[:30, 30] = True
    assert (hull(bar) == hull(hull(cup) | bar)).all()
    assert hull(bar).sum() > (hull(cup) | bar).sum()


@pytest.mark.parametrize("dilation", [12, "12", " 12 ", "12.0"])
def test_pixels_are_pixels_whatever_the_object(dilation):
    assert dilation_radius(dilation, square(5)) == 12
    assert dilation_radius(dilation, square(100)) == 12


@pytest.mark.parametrize(
    ("dilation", "radius"), [("10%", 10), ("5%", 5), ("12.5%", 12), ("100 %", 100), ("0%", 0), (0, 0)]
)
def test_a_share_is_of_the_objects_size(dilation, radius):
    assert dilation_radius(dilation, square(100)) == radius


def test_a_share_of_a_small_object_still_covers_its_blended_edge():
    assert dilation_radius("1%", square(5)) == LEAST_RADIUS


def test_a_share_of_several_objects_is_of_their_mean_size_not_of_their_sum():
    two = square(100) | square(60, at=130)
    assert dilation_radius("10%", two) == 8


def test_crumbs_beside_an_object_do_not_change_its_size():
    crumbs = square(100)
    crumbs[150::7, 150::7] = True
    assert dilation_radius("10%", crumbs) == dilation_radius("10%", square(100))


def test_a_share_of_an_empty_mask_is_0():
    assert dilation_radius("10%", np.zeros((9, 9), bool)) == 0


@pytest.mark.parametrize(
    "dilation", ["", "%", "twelve", "-3", -3, "-3%", "12.5", "nan", "inf", "1e999", "3px", "5%%", None, True]
)
def test_any_other_dilation_is_refused_with_what_would_do(dilation):
    with pytest.raises(ValueError, match="pixels such as 12, or a share such as 10%"):
        dilation_radius(dilation, square(10))
