"""Which of the objects that were found are meant."""

import numpy as np
import pytest

from masks import Found
from masks.prompts import Instance, union
from masks.selection import Selection, TooManyFound, distinct, select

SIZES = (4, 10, 7)  # sides of three squares in a picture of 100 × 100


def square(side: int, place: int) -> np.ndarray:
    mask = np.zeros((100, 100), bool)
    mask[20 : 20 + side, place : place + side] = True
    return mask


PARTS = [square(side, 10 + 30 * k) for k, side in enumerate(SIZES)]


def squares() -> Found:
    return union([Found(part, 0.9, (), (Instance.of(part),)) for part in PARTS])


def areas(found: Found) -> list[int]:
    return sorted(one.area for one in distinct(found)) if found else []


@pytest.mark.parametrize(
    ("selection", "sides"),
    [
        (Selection(), [4, 7, 10]),
        (Selection(largest=1), [10]),
        (Selection(largest=2), [7, 10]),
        (Selection(largest=9), [4, 7, 10]),
        (Selection(except_largest=True), [4, 7]),
        (Selection(except_largest=True, largest=1), [7]),
        (Selection(min_area=0.0049), [7, 10]),
        (Selection(min_area=0.005), [10]),
        (Selection(min_area=0.005, max_count=1), [10]),
        (Selection(max_count=3), [4, 7, 10]),
    ],
)
@pytest.mark.parametrize("told_apart", [True, False])
def test_the_finds_that_were_asked_for_are_meant_whether_the_finder_tells_them_apart_or_not(
    selection, sides, told_apart
):
    found = squares() if told_apart else Found(squares().mask, 0.9)
    chosen, said = select(found, selection)
    assert areas(chosen) == [side * side for side in sides]
    assert chosen.mask.sum() == sum(side * side for side in sides)
    left_out = 3 - len(sides)
    assert said == (f"left out: {left_out} of 3 finds" if left_out else None)
    assert chosen.score == 0.9


def test_what_is_left_when_all_are_too_small_is_nothing_and_says_so():
    chosen, said = select(squares(), Selection(min_area=0.5))
    assert not chosen
    assert said == "left out: 3 of 3 finds"


def test_more_finds_than_a_person_wanted_to_leave_to_a_machine_are_counted_without_the_small_ones():
    with pytest.raises(TooManyFound, match=r"3 objects were found, more than --max-count 2"):
        select(squares(), Selection(max_count=2))
    assert areas(select(squares(), Selection(max_count=2, min_area=0.004))[0]) == [49, 100]


def test_everything_but_what_was_selected_is_meant_when_inverted():
    chosen, _ = select(squares(), Selection(largest=1, invert=True))
    assert (chosen.mask == ~PARTS[1]).all()


def test_nothing_inverted_is_still_nothing():
    nothing = Found(np.zeros((100, 100), bool))
    assert not select(nothing, Selection(invert=True))[0]
    assert not select(squares(), Selection(invert=True, min_area=0.5))[0]


def test_two_phrases_that_name_one_object_count_once_and_neighbours_that_touch_count_twice():
    again = square(10, 41)
    twice = union([squares(), Found(again, 0.5, (), (Instance.of(again),))])
    assert len(distinct(twice)) == 3
    beside = square(10, 50)
    touching = union([squares(), Found(beside, 0.5, (), (Instance.of(beside),))])
    assert len(distinct(touching)) == 4


def test_a_find_that_is_not_told_apart_makes_the_whole_be_taken_apart_by_what_is_connected():
    loose = Found(square(6, 90), 0.5)
    assert areas(union([squares(), loose])) == [16, 36, 49, 100]
