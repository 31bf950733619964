"""What can be asked for, and how finds add up."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from masks.prompts import BoxPrompt, Found, PointPrompt, TextPrompt, nothing, union


def found(rows: slice, score: float) -> Found:
    mask = np.zeros((6, 8), bool)
    mask[rows] = True
    return Found(mask, score, ((0.0, float(rows.start), 8.0, float(rows.stop)),))


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_a_text_prompt_needs_a_phrase(text):
    with pytest.raises(ValueError, match="needs a phrase"):
        TextPrompt(text)


@pytest.mark.parametrize("points", [(), ((3, 4, 0),), ((3, 4, 0), (5, 6, 0))])
def test_a_point_prompt_needs_a_point_on_the_object(points):
    with pytest.raises(ValueError, match="at least one point on the object"):
        PointPrompt(points)


@pytest.mark.parametrize("point", [(3, 4, 2), (3, 4, -1), (3,), (3, 4, 1, 1), ()])
def test_a_point_is_x_y_and_a_label_of_0_or_1(point):
    with pytest.raises(ValueError, match="label 1 \\(object\\) or 0 \\(background\\)"):
        PointPrompt(((1, 1, 1), point))


def test_a_point_without_a_label_lies_on_the_object():
    assert PointPrompt([[3, 4]]) == PointPrompt(((3, 4, 1),))


@pytest.mark.parametrize(
    "box", [(5, 0, 5, 9), (6, 0, 5, 9), (0, 9, 5, 9), (0, 9, 5, 8), (0, 0, 5), (0, 0, float("nan"), 9)]
)
def test_a_box_has_its_left_before_its_right_and_its_top_above_its_bottom(box):
    with pytest.raises(ValueError, match="left < right and top < bottom"):
        BoxPrompt(box)


def test_prompts_can_be_keys_and_cannot_be_changed():
    prompts = {TextPrompt("red ball"), PointPrompt([[1, 2]]), BoxPrompt((0, 0, 1, 1))}
    assert PointPrompt(((1, 2, 1),)) in prompts
    with pytest.raises(dataclasses.FrozenInstanceError):
        TextPrompt("red ball").text = "blue ball"


def test_a_find_is_true_only_where_something_was_found():
    assert found(slice(1, 2), 0.5)
    assert not nothing(np.zeros((6, 8, 3), np.uint8))


def test_nothing_has_the_size_of_its_image_and_no_boxes():
    empty = nothing(np.zeros((6, 8, 3), np.uint8))
    assert (empty.mask.shape, empty.mask.dtype, empty.score, empty.boxes) == ((6, 8), bool, 0.0, ())


def test_a_union_joins_masks_and_boxes_and_keeps_the_weakest_score():
    first, second = found(slice(0, 2), 0.9), found(slice(4, 6), 0.4)
    both = union([first, second])
    assert (both.mask == (first.mask | second.mask)).all()
    assert (both.score, both.boxes) == (0.4, first.boxes + second.boxes)


def test_what_found_nothing_takes_no_part_in_a_union():
    empty, hit = nothing(np.zeros((6, 8, 3), np.uint8)), found(slice(2, 3), 0.7)
    both = union([empty, hit])
    assert (both.mask == hit.mask).all()
    assert both.score == 0.7
    assert not union([empty, empty])


@pytest.mark.parametrize(
    ("said", "text", "threshold"),
    [
        ("dog", "dog", None),
        ("dog@0.4", "dog", 0.4),
        ("red ball @ .25", "red ball", 0.25),
        ("dog@1", "dog", 1.0),
        ("me@home", "me@home", None),
        ("a sign that says me@home@0.5", "a sign that says me@home", 0.5),
    ],
)
def test_a_number_after_the_last_at_sign_is_a_phrases_own_threshold(said, text, threshold):
    assert TextPrompt.parse(said) == TextPrompt(text, threshold)


@pytest.mark.parametrize("said", ["dog@1.5", "dog@40", "dog@-0.1"])
def test_a_threshold_lies_between_0_and_1(said):
    with pytest.raises(ValueError, match=r"between 0 and 1, as in 'dog@0.4'"):
        TextPrompt.parse(said)


def test_a_threshold_without_a_phrase_is_refused():
    with pytest.raises(ValueError, match="needs a phrase"):
        TextPrompt.parse(" @0.4")
