"""Points and boxes without weights."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files

import cv2
import numpy as np
import pytest

from masks import BoxPrompt, PointPrompt, TextPrompt, load_segmenter
from masks.segmenters import objection


@pytest.fixture(scope="module")
def segment():
    return load_segmenter("grabcut")


def on_grass(height: int, width: int, *discs: tuple[int, int, int]) -> tuple[np.ndarray, list[np.ndarray]]:
    """A green picture with grain, red discs (x, y, radius) on it, and where each of them is."""
    random = np.random.default_rng(0)
    image = np.array((60, 130, 50)) + random.normal(0, 8, (height, width, 1))
    places = []
    for x, y, radius in discs:
        place = cv2.circle(np.zeros((height, width), np.uint8), (x, y), radius, 1, -1) > 0
        image[place] = np.array((190, 50, 60)) + random.normal(0, 8, (place.sum(), 1))
        places.append(place)
    return image.clip(0, 255).astype(np.uint8), places


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("size", [1, 6])
def test_a_thing_in_a_box_is_found_at_any_size_of_the_picture(segment, size):
    image, (place,) = on_grass(200 * size, 300 * size, (150 * size, 90 * size, 40 * size))
    (found,) = segment([image], [BoxPrompt((100 * size, 40 * size, 205 * size, 140 * size))])
    assert overlap(found.mask, place) > 0.95
    assert found.mask.dtype == bool
    assert 0 < found.score <= 1
    ((left, top, right, bottom),) = found.boxes
    assert found.mask[int(top) : int(bottom), int(left) : int(right)].sum() == found.mask.sum()


def test_a_box_outside_its_thing_holds_nothing_of_another_one(segment):
    image, (first, second) = on_grass(200, 300, (80, 90, 30), (220, 90, 30))
    (found,) = segment([image], [BoxPrompt((40, 50, 120, 130))])
    assert overlap(found.mask, first) > 0.9
    assert not (found.mask & second).any()


@pytest.mark.parametrize("radius", [12, 45])
def test_the_thing_under_a_point_is_found_whether_small_or_large(segment, radius):
    image, (place,) = on_grass(240, 320, (150, 110, radius))
    (found,) = segment([image], [PointPrompt(((148, 112, 1),))])
    assert overlap(found.mask, place) > 0.9


def test_a_point_finds_only_the_thing_that_it_lies_on(segment):
    image, (first, second) = on_grass(240, 320, (100, 110, 25), (180, 110, 25))
    (found,) = segment([image], [PointPrompt(((100, 110, 1),))])
    assert overlap(found.mask, first) > 0.9
    assert not (found.mask & second).any()


def test_a_point_on_what_is_not_meant_is_never_in_the_mask(segment):
    image, _ = on_grass(240, 320, (120, 110, 30), (175, 110, 30))  # they touch
    assert segment([image], [PointPrompt(((120, 110, 1),))])[0].mask[110, 175]
    (found,) = segment([image], [PointPrompt(((120, 110, 1), (175, 110, 0), (185, 110, 0), (165, 95, 0)))])
    assert found.mask[110, 120]
    assert not found.mask[110, 175]


def test_masks_are_the_same_in_any_thread_and_order(segment):
    image, _ = on_grass(240, 320, (100, 110, 25), (180, 130, 35))
    prompts = [PointPrompt(((100, 110, 1),)), BoxPrompt((140, 90, 220, 170)), PointPrompt(((185, 130, 1),))] * 3
    alone = [segment([image], [prompt])[0].mask for prompt in prompts]
    cv2.setRNGSeed(7)
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda prompt: segment([image], [prompt])[0].mask, prompts))
    for one, two in zip(alone, together, strict=True):
        assert (one == two).all()


@pytest.mark.parametrize(
    ("shape", "prompt"),
    [
        ((1, 1), PointPrompt(((0, 0, 1),))),
        ((5, 4), BoxPrompt((0, 0, 4, 5))),
        ((40, 50), BoxPrompt((0, 0, 50, 40))),
        ((40, 50), BoxPrompt((-20, -20, 500, 400))),
        ((40, 50), BoxPrompt((49.2, 39.1, 50, 40))),
        ((40, 50), PointPrompt(((49, 39, 1), (0, 0, 0)))),
        ((2, 300), PointPrompt(((150, 1, 1),))),
        ((40, 50), PointPrompt(((20, 20, 1), (20, 20, 0)))),
    ],
)
def test_odd_pictures_and_prompts_have_an_answer_of_the_pictures_size(segment, shape, prompt):
    for image in (np.full((*shape, 3), 90, np.uint8), on_grass(*shape)[0]):
        (found,) = segment([image], [prompt])
        assert found.mask.shape == shape


def test_prompts_outside_the_picture_are_refused(segment):
    with pytest.raises(ValueError, match="outside the picture"):
        segment([on_grass(40, 50)[0]], [PointPrompt(((60, 10, 1),))])


def test_text_is_refused_with_what_takes_it():
    reason = objection("grabcut", TextPrompt("dog"))
    assert "takes no text" in reason
    assert "grounded-sam" in reason
    assert "needs a model" in reason


def photo(name: str) -> np.ndarray:
    """One of scikit-image's, H×W×3 uint8."""
    return cv2.imread(str(files("skimage").joinpath("data", name)))[..., ::-1].copy()


def test_a_face_is_not_taken_together_with_the_wall_that_runs_out_of_the_picture(segment):
    image = photo("astronaut.png")
    (found,) = segment([image], [PointPrompt(((220, 120, 1),))])
    assert found.mask[120, 220]
    assert 0.02 < found.mask.mean() < 0.15
    assert not found.mask[[0, -1]].any()


@pytest.mark.parametrize("box", [(303, 118, 341, 160), (305, 120, 340, 150)])
def test_the_middle_of_a_box_is_found_though_its_colours_are_much_like_those_around(segment, box):
    (found,) = segment([photo("rocket.jpg")], [BoxPrompt(box)])  # a grey tip before a blue sky, in dusk
    rows = np.flatnonzero(found.mask.any(axis=1))
    assert rows[0] <= 130
    assert 200 < found.mask.sum() < 900
