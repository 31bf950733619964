"""Edits of a mask by hand: what a brush, a region and a click on an object make of its pixels, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.review.mask_edits import Edit, edited, read_edits

HEIGHT, WIDTH = 60, 80


def blank() -> np.ndarray:
    return np.zeros((HEIGHT, WIDTH), bool)


def two_objects() -> np.ndarray:
    """A mask of a square on the left and one on the right."""
    mask = blank()
    mask[20:30, 10:20] = mask[20:30, 50:60] = True
    return mask


def test_a_brush_adds_a_line_as_thick_as_its_radius_says_and_round_at_its_ends():
    made = edited(blank(), read_edits([{"brush": [[20, 30], [60, 30]], "radius": 5}]))
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    far = np.hypot(np.clip(x, 20, 60) - x, y - 30)  # from the line
    assert made[far <= 4].all()
    assert not made[far > 6.5].any()


def test_the_eraser_takes_away_what_it_goes_over_and_nothing_else():
    made = edited(two_objects(), read_edits([{"brush": [[15, 25]], "radius": 3, "erase": True}]))
    assert not made[23:28, 13:18].any()
    assert made[20, 10]
    assert (made[:, 40:] == two_objects()[:, 40:]).all()


def test_a_region_is_added_or_taken_whole_also_over_the_edge():
    made = edited(blank(), read_edits([{"region": [70, 50, 999, 999]}]))
    assert made[50:, 70:].all()
    assert made.sum() == 10 * 10
    made = edited(~blank(), read_edits([{"region": [-5, -5, 10.5, 4], "erase": True}]))
    assert not made[:4, :11].any()
    assert (~made).sum() == 4 * 11


@pytest.mark.parametrize("point", [[55, 25], [62, 25], [50.2, 20.9]], ids=["on", "beside", "between pixels"])
def test_an_object_that_is_clicked_goes_and_the_others_stay(point):
    made = edited(two_objects(), read_edits([{"object": point}]))
    assert made[20:30, 10:20].all()
    assert made.sum() == 100


def test_edits_are_made_one_after_the_other():
    bridge = {"region": [12, 22, 58, 28]}  # which joins the two
    assert not edited(two_objects(), read_edits([bridge, {"object": [30, 25]}])).any()
    assert edited(two_objects(), read_edits([{"object": [15, 25]}, bridge]))[22:28, 12:58].all()


def test_a_click_far_from_every_object_is_refused_in_words():
    with pytest.raises(ValueError, match=r"no object at 35,5"):
        edited(two_objects(), read_edits([{"object": [35, 5]}]))


@pytest.mark.parametrize(
    "edits",
    [
        {"brush": [[1, 2]], "radius": 3},
        [[]],
        [{}],
        [{"brush": [[1, 2]], "radius": 3, "region": [1, 2, 3, 4]}],
        [{"brush": [], "radius": 3}],
        [{"brush": [[1]], "radius": 3}],
        [{"brush": [[1, "2"]], "radius": 3}],
        [{"brush": [[1, True]], "radius": 3}],
        [{"brush": [[1, float("nan")]], "radius": 3}],
        [{"brush": [[1, 1e99]], "radius": 3}],
        [{"brush": [[1, 2]]}],
        [{"brush": [[1, 2]], "radius": 0}],
        [{"brush": [[1, 2]], "radius": 1e5}],
        [{"brush": [[1, 2]], "radius": 3, "erase": 1}],
        [{"region": [3, 2, 1, 4]}],
        [{"region": [1, 2, 3]}],
        [{"object": [[1, 2]]}],
        [{"object": "all"}],
        [{"region": [1, 2, 3, 4]}] * 2_001,
        [{"object": [1, 2]}] * 201,
        [{"brush": [[1, 2]] * 5_000, "radius": 4_000}],
        [{"brush": [[1, 2]] * 100_001, "radius": 1}],
    ],
)
def test_what_is_no_edit_is_refused(edits):
    with pytest.raises(ValueError, match=r"\w"):
        read_edits(edits)


ANY = st.integers(-50, 150) | st.floats(-50, 150)
POINT = st.tuples(ANY, ANY).map(list)
BRUSH = st.builds(
    lambda points, radius, erase: {"brush": points, "radius": radius, "erase": erase},
    st.lists(POINT, min_size=1, max_size=5), st.floats(0.1, 200), st.booleans(),
)  # fmt: skip


@given(st.lists(BRUSH, max_size=4))
def test_edits_that_are_read_are_written_the_same_and_stay_within_the_picture(rows):
    edits = read_edits(json.loads(json.dumps(rows)))
    assert read_edits([edit.row() for edit in edits]) == edits
    assert all(isinstance(edit, Edit) for edit in edits)
    assert edited(blank(), edits).shape == (HEIGHT, WIDTH)
