"""Segmenters made of two: boxes for a text by tiny detectors with random weights, masks by the bundled SAM."""

from __future__ import annotations

import numpy as np
import pytest

from masks import BoxPrompt, PointPrompt, TextPrompt, load_segmenter
from masks.grounding import ByKind, GroundedSegmenter
from masks.morphology import outline
from masks.prompts import Found
from masks.segmenters import BUNDLED


@pytest.fixture
def ground(dino):
    """A function that loads grounded-sam with the tiny Grounding DINO and the bundled SAM at a threshold."""
    return lambda threshold: load_segmenter(f"grounded-sam:{BUNDLED / 'sam'}+{dino}", threshold=threshold, offline=True)


def test_grounded_sam_at_threshold_1_finds_nothing_and_that_is_an_outcome(ground, scenes):
    for found in ground(1.0)([s.image for s in scenes[:2]], [TextPrompt("red ball"), TextPrompt("blue star")]):
        assert not found
        assert (found.mask.shape, found.mask.dtype, found.score, found.boxes) == ((128, 128), bool, 0.0, ())


def test_grounded_sams_mask_is_the_union_of_what_sam_finds_in_every_box(ground, picture):
    image = picture(90, 140)
    segment = ground(0.0)
    found = segment([image], [TextPrompt("red ball")])[0]
    assert len(found.boxes) == 12  # at threshold 0, one for every query
    inside = [(max(0, x0), max(0, y0), min(140, x1), min(90, y1)) for x0, y0, x1, y1 in found.boxes]
    parts = segment.shapes([image] * 12, [BoxPrompt(box) for box in inside])
    assert (found.mask == np.logical_or.reduce([part.mask for part in parts])).all()
    assert found.mask.shape == (90, 140)
    assert 0 < found.score < 1


def test_grounded_sam_finds_less_at_a_higher_threshold(ground, scenes):
    image, prompt = scenes[0].image, TextPrompt("red ball")
    everything = ground(0.0)([image], [prompt])[0]
    scores = sorted(score for _, score in ground(0.0).detect([image], [prompt])[0])
    middle = (scores[5] + scores[6]) / 2
    some = ground(middle)([image], [prompt])[0]
    assert len(some.boxes) == 6
    assert set(some.boxes) < set(everything.boxes)
    assert some.score >= middle > everything.score


def test_grounded_sam_hears_a_phrase_in_any_case_and_with_or_without_a_full_stop(ground, scenes):
    segment, image = ground(0.0), scenes[0].image
    plain, *others = (segment([image], [TextPrompt(text)])[0] for text in ("red ball", "Red Ball", " red ball. "))
    assert all(other.boxes == plain.boxes for other in others)
    assert segment([image], [TextPrompt("blue star")])[0].boxes != plain.boxes


def test_grounded_sam_hands_points_and_boxes_to_sam(ground, scenes):
    scene = scenes[0]
    for prompt in (PointPrompt((scene.point,)), BoxPrompt(outline(scene.object))):
        found = ground(0.0)([scene.image], [prompt])[0]
        assert (found.mask == load_segmenter(f"sam:{BUNDLED / 'sam'}")([scene.image], [prompt])[0].mask).all()


def test_offline_a_grounding_dino_that_is_not_there_is_named(tmp_path):
    with pytest.raises(OSError, match="no-one/dino"):
        load_segmenter(f"grounded-sam:{BUNDLED / 'sam'}+no-one/dino", offline=True)


def test_every_prompt_goes_to_the_segmenter_of_its_kind():
    def answer(score):
        return lambda images, prompts: [Found(np.ones((2, 2), bool), score)] * len(images)

    segment = ByKind(text=answer(0.1), shape=answer(0.9))
    prompts = [TextPrompt("a"), PointPrompt(((0, 0, 1),)), TextPrompt("b"), BoxPrompt((0, 0, 1, 1))]
    assert [f.score for f in segment([np.zeros((2, 2, 3), np.uint8)] * 4, prompts)] == [0.1, 0.9, 0.1, 0.9]


def test_boxes_that_reach_out_of_the_picture_are_cut_and_those_beside_it_add_nothing(scenes):
    """A detector of our own says where; the masks are those that SAM finds in the cut boxes."""
    image, boxes = scenes[0].image, [outline(o) for o in (scenes[0].object, scenes[0].objects[0])]
    shapes = load_segmenter(f"sam:{BUNDLED / 'sam'}")

    def ask(*found):
        segment = GroundedSegmenter(lambda images, prompts: [[(box, 0.5) for box in found]], shapes)
        return segment([image], [TextPrompt("anything")])[0]

    cut = [*boxes, (0.0, 10.0, 60.0, 128.0)]
    parts = [found.mask for found in shapes([image] * 3, [BoxPrompt(box) for box in cut])]
    together = ask(*boxes, (-5.0, 10.0, 60.0, 200.0), (200.0, 0.0, 220.0, 20.0))
    assert (together.mask == np.logical_or.reduce(parts)).all()
    assert not ask((200.0, 0.0, 220.0, 20.0))
    assert not ask()


def test_a_phrase_with_a_threshold_of_its_own_is_held_to_that(ground, scenes):
    image, segment = scenes[0].image, ground(0.0)
    scores = sorted(score for _, score in segment.detect([image], [TextPrompt("red ball")])[0])
    middle = (scores[5] + scores[6]) / 2
    usual, own, none = segment([image] * 3, [TextPrompt("red ball", level) for level in (None, middle, 1.0)])
    assert [len(usual.boxes), len(own.boxes), len(none.boxes)] == [12, 6, 0]
