"""A region: where it lies in a picture, and what of a find is in it."""

import numpy as np
import pytest

from masks import Found
from masks.prompts import Instance
from masks.region import Region, cut_off, placed

IMAGE = np.zeros((50, 200, 3), np.uint8)


@pytest.mark.parametrize(
    ("text", "rows", "columns"),
    [
        ("10,5,60,45", slice(5, 45), slice(10, 60)),
        ("0,50%,100%,100%", slice(25, 50), slice(0, 200)),
        ("25%, 0, 999, 20", slice(0, 20), slice(50, 200)),
        ("0.5,0.5,1.5,1.5", slice(0, 2), slice(0, 2)),
    ],
)
def test_a_region_is_told_in_pixels_or_in_shares_and_ends_with_the_picture(text, rows, columns):
    assert Region.parse(text).of(IMAGE) == (rows, columns)


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "a,b,c,d", "nan,0,1,1", "-1,0,5,5", "0,0,inf,5", "0,0,0,9", "0,0,9,120%"]
)
def test_what_is_no_region_is_refused_with_one_that_is(text):
    with pytest.raises(ValueError, match=r"region|share"):
        Region.parse(text)


def test_a_region_beside_the_picture_is_refused_with_the_pictures_size():
    with pytest.raises(ValueError, match="200×50"):
        Region.parse("300,0,400,50").of(IMAGE)


def test_what_was_found_in_a_part_lies_at_its_place_in_the_whole():
    part = Region.parse("20,10,60,40").of(IMAGE)
    small = np.zeros((30, 40), bool)
    small[5:10, 30:40] = True
    found = placed(Found(small, 0.7, ((30, 5, 40, 10),), (Instance.of(small),)), IMAGE, part)
    assert np.argwhere(found.mask).min(axis=0).tolist() == [15, 50]
    assert found.mask.sum() == 50
    assert found.boxes == ((50, 15, 60, 20),)
    assert found.instances[0].box == (50, 15, 60, 20)
    assert found.score == 0.7


def test_a_find_ends_where_the_region_does_and_one_beside_it_is_nothing():
    mask = np.zeros((50, 200), bool)
    mask[10:20, 40:80] = True
    found = Found(mask, 0.7, ((40, 10, 80, 20),), (Instance.of(mask),))
    cut = cut_off(found, Region.parse("60,0,200,50").of(IMAGE))
    assert cut.mask.sum() == 200
    assert cut.boxes == ((60, 10, 80, 20),)
    assert not cut_off(found, Region.parse("100,0,200,50").of(IMAGE))
