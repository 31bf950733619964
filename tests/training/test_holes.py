"""Holes to learn from: never a reason to redraw an object."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from removal.bundled.scenes import TRAINING_SEEDS, scene
from tests.training.holes import KEPT, training_pair

SEEDS = st.integers(TRAINING_SEEDS, TRAINING_SEEDS + 2_000_000)


@given(SEEDS)
def test_a_seed_always_gives_the_same_image_and_hole(seed):
    (image, hole), (again, same) = training_pair(seed), training_pair(seed)
    assert (image == again).all()
    assert (hole == same).all()
    assert hole.any()
    assert hole.dtype == bool


@given(SEEDS)
def test_a_hole_never_hides_most_of_an_object_that_it_would_then_have_to_redraw(seed):
    image, hole = training_pair(seed)
    drawn = scene(seed)
    if (image == drawn.image).all() and (image != drawn.plate).any():
        for visible in drawn.objects:
            assert (visible & hole).sum() <= KEPT * max(visible.sum(), 1)
    else:
        assert (image == drawn.plate).all()


def test_both_plates_and_scenes_with_objects_are_learnt_from():
    seeds = range(TRAINING_SEEDS, TRAINING_SEEDS + 60)
    with_objects = np.mean([(training_pair(seed)[0] == scene(seed).image).all() for seed in seeds])
    assert 0.2 < with_objects < 0.7
