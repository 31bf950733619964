"""Scenes are what evaluation relies on: their truth is exact and their text names one thing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from masks import dilate
from removal.bundled.scenes import COLOURS, LOOKS, SHAPES, SIZE, TEXTURED, TRAINING_SEEDS, scene


@pytest.fixture(scope="module")
def drawn():
    """Three hundred scenes, for what is too rare or too common to be shown by a few."""
    return [scene(seed) for seed in range(300)]


SEEDS = st.integers(0, TRAINING_SEEDS + 2_000_000)
BOTH = st.sampled_from(list(LOOKS))


@given(SEEDS, BOTH)
def test_a_seed_always_gives_the_same_scene_and_the_next_seed_another(seed, look):
    first, again = scene(seed, look), scene(seed, look)
    for name in ("image", "truth", "plate", "mask", "object"):
        assert (getattr(first, name) == getattr(again, name)).all()
    assert (first.things, first.background, first.point) == (again.things, again.background, again.point)
    assert (scene(seed + 1, look).image != first.image).any()


@given(SEEDS, BOTH)
def test_outside_the_mask_a_scene_is_its_truth_exactly_and_inside_it_is_not(seed, look):
    s = scene(seed, look)
    assert (s.image[~s.mask] == s.truth[~s.mask]).all()
    assert (s.image[s.object] != s.truth[s.object]).any(axis=1).mean() > 0.95
    assert (s.image.shape, s.image.dtype) == ((SIZE, SIZE, 3), np.uint8) == (s.truth.shape, s.truth.dtype)
    assert (s.mask.shape, s.mask.dtype) == ((SIZE, SIZE), bool) == (s.object.shape, s.object.dtype)


@pytest.mark.parametrize("size", [33, 96, 200, 512])
@pytest.mark.parametrize("seed", [4, 7, 12, 51])
@pytest.mark.parametrize("look", LOOKS)
def test_a_scene_of_any_size_is_the_same_scene_with_the_same_promises(seed, look, size):
    usual, s = scene(seed, look), scene(seed, look, size)
    assert s.image.shape == s.truth.shape == (size, size, 3)
    assert (s.target, s.background) == (usual.target, usual.background)
    assert (s.image[~s.mask] == s.truth[~s.mask]).all()
    assert s.mask[s.object].all()
    assert s.mask[LOOKS[look].footprint(s.target, size)].all()
    shrunk = cv2.resize(s.object.astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk - usual.object).mean() < 0.02
    for thing in s.things[:-1]:
        assert not (LOOKS[look].footprint(thing, size) & dilate(s.mask, 4)).any()


@pytest.mark.parametrize("look", LOOKS)
def test_edges_are_a_pixel_wide_at_every_size(look):
    """A large scene is drawn large, not enlarged: its strongest step from a pixel to the next is as strong."""
    steps = [np.abs(np.diff(scene(7, look, size).image.astype(int), axis=1)).max() for size in (SIZE, 512)]
    assert steps[1] > 0.8 * steps[0]


@given(SEEDS, BOTH)
def test_the_mask_holds_the_object_and_its_shadow(seed, look):
    s = scene(seed, look)
    assert s.mask[s.object].all()
    assert s.mask[LOOKS[look].footprint(s.target)].all()
    assert s.mask[(s.image != s.truth).any(axis=2)].all()
    assert s.mask.sum() > s.object.sum() > 60


def test_a_scenes_text_names_exactly_one_thing_of_it(drawn):
    for s in drawn:
        assert [thing.text for thing in s.things].count(s.target.text) == 1
        colour, shape = s.target.text.split()
        assert colour in COLOURS
        assert shape in SHAPES


@given(SEEDS)
def test_a_scenes_point_lies_inside_its_object_and_away_from_the_edge(seed):
    s = scene(seed)
    x, y = s.point
    assert s.object[y - 1 : y + 2, x - 1 : x + 2].all()


@given(SEEDS, BOTH)
def test_no_other_thing_or_shadow_enters_the_mask_grown_by_4_pixels(seed, look):
    s = scene(seed, look)
    grown = dilate(s.mask, 4)
    assert (s.truth[grown] == s.plate[grown]).all()
    assert not any((other & grown).any() for other in s.objects[:-1])


@given(SEEDS, BOTH)
def test_the_visible_parts_of_things_do_not_overlap_and_the_target_lies_on_top(seed, look):
    s = scene(seed, look)
    assert np.sum(s.objects, axis=0).max() <= 1
    assert len(s.objects) == len(s.things)
    assert (s.objects[-1] == s.object).all()


@settings(max_examples=15)
@given(st.integers(0, TRAINING_SEEDS))
def test_half_or_more_of_any_ten_scenes_in_a_row_are_textured(first):
    drawn = [scene(seed) for seed in range(first, first + 10)]
    assert sum(s.textured for s in drawn) >= 5
    assert all(s.textured == (s.background in TEXTURED) for s in drawn)


def test_every_colour_shape_background_and_number_of_things_occurs(drawn):
    assert {s.target.colour for s in drawn} == set(COLOURS)
    assert {s.target.shape for s in drawn} == set(SHAPES)
    assert len({s.background for s in drawn}) == 7
    assert {len(s.things) for s in drawn} == {1, 2, 3, 4}
    assert "ball" in SHAPES


def test_backgrounds_are_less_colourful_than_every_object(drawn):
    def spread(colours: np.ndarray) -> np.ndarray:
        return colours.max(axis=-1).astype(int) - colours.min(axis=-1)

    assert max(float(spread(s.plate).mean()) for s in drawn) < 90 < spread(np.array(list(COLOURS.values()))).min()


@given(SEEDS)
def test_night_shows_the_same_kind_of_scene_in_other_colours(seed):
    day, night = scene(seed), scene(seed, "night")
    assert (day.background, day.target, day.textured) == (night.background, night.target, night.textured)
    assert night.plate.mean() < 0.75 * day.plate.mean()
