"""Small things in large pictures are found in parts of them, and everything once."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from masks import BoxPrompt, Found, PointPrompt, TextPrompt, load_segmenter
from masks.prompts import Instance, all_of, nothing
from masks.tiles import LEAST, TOGETHER, Tiled, parts_of
from removal.bundled.scenes import scene

MAGENTA = [255, 0, 255]
SIDE = 48  # at which the finder of these tests looks, as networks do


class Finder:
    """Finds what is magenta once a picture is scaled down, each thing with its mask; it remembers what it saw."""

    def __init__(self, tells_apart: bool = True):
        self.tells_apart = tells_apart
        self.seen: list[tuple[tuple[int, ...], object]] = []

    def __call__(self, images, prompts):
        self.seen += [(image.shape[:2], prompt) for image, prompt in zip(images, prompts, strict=True)]
        return [self._find(image) for image in images]

    def _find(self, image: np.ndarray) -> Found:
        small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        there = (np.abs(small.astype(int) - MAGENTA).max(axis=2) < 60).astype(np.uint8)
        whole = cv2.resize(there, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        count, labels = cv2.connectedComponents(whole)
        found = all_of(image, [(Instance.of(labels == k), 0.9) for k in range(1, count)])
        return found if self.tells_apart else Found(found.mask, found.score)


@pytest.fixture
def large(picture):
    """A picture of 900×1200 with things of 16 pixels, two of which lie across the borders of parts, and one of 500."""
    image = picture(900, 1200)
    for x, y in ((60, 60), (400, 100), (600, 830), (1100, 440)):
        image[y : y + 16, x : x + 16] = MAGENTA
    image[250:750, 300:800] = MAGENTA
    return image


@pytest.mark.parametrize("tells_apart", [True, False])
def test_small_things_are_found_in_parts_and_a_large_one_that_every_part_cuts_is_one_thing(large, tells_apart):
    finder = Finder(tells_apart)
    assert len(finder([large], [TextPrompt("magenta")])[0].instances) <= 1
    found = Tiled(finder, 5)([large], [TextPrompt("magenta")])[0]
    truth = (large == MAGENTA).all(axis=2)
    assert len(found.instances) == len(found.boxes) == 5
    assert sorted(one.area > 10_000 for one in found.instances) == [False] * 4 + [True]
    assert (found.mask & truth).sum() > 0.95 * (found.mask | truth).sum()
    assert found.score == 0.9


def test_the_parts_of_a_picture_cover_it_overlap_and_are_about_square():
    for height, width, parts in ((900, 1200, 4), (3000, 4000, "auto"), (4000, 1000, 7), (513, 512, 3)):
        found = parts_of(np.empty((height, width, 0)), parts)
        covered = np.zeros((height, width), bool)
        for part in found:
            covered[part] = True
        assert covered.all()
        sizes = {(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in found}
        assert len(sizes) == 1
        assert 0.6 < max(sizes)[0] / max(sizes)[1] < 1.6
        rows = sorted({(rows.start, rows.stop) for rows, _ in found})
        assert all(later[0] < earlier[1] for earlier, later in pairwise(rows))


@pytest.mark.parametrize(
    ("size", "parts", "count"),
    [((3000, 4000), "auto", 12), ((2999, 4000), "auto", 1), ((900, 1200), 1, 1), ((LEAST, LEAST + 50), 8, 1)],
)
def test_by_itself_a_picture_is_parted_from_12_megapixels_on_and_never_into_crumbs(size, parts, count):
    assert len(parts_of(np.empty((*size, 0)), parts)) == count


def test_points_and_boxes_are_answered_from_the_whole_picture_alone(large):
    finder = Finder()
    prompts = [PointPrompt(((5, 5, 1),)), BoxPrompt((0, 0, 9, 9))]
    found = Tiled(finder, 4)([large, large], prompts)
    assert finder.seen == [((900, 1200), prompt) for prompt in prompts]
    assert [one.mask.shape for one in found] == [(900, 1200)] * 2


def test_every_phrase_of_every_picture_gets_what_it_would_get_alone(large, picture):
    other = picture(700, 900)
    other[20:34, 30:44] = MAGENTA
    asked = [(large, "a"), (other, "b@0.4"), (large, "c"), (other, "d")]
    images, prompts = [image for image, _ in asked], [TextPrompt.parse(text) for _, text in asked]
    finder = Finder()
    together = Tiled(finder, 5)(images, prompts)
    assert {prompt for _, prompt in finder.seen} == {*prompts}  # each with its own threshold, in every part
    for image, prompt, found in zip(images, prompts, together, strict=True):
        alone = Tiled(Finder(), 5)([image], [prompt])[0]
        assert (found.mask == alone.mask).all()
        assert found.boxes == alone.boxes


def test_few_parts_are_in_memory_at_a_time_and_each_goes_in_once_for_all_phrases(large):
    calls = []

    def segment(images, prompts):
        calls.append(len({id(image) for image in images}))
        assert len(images) == 2 * calls[-1]
        return [nothing(image) for image in images]

    Tiled(segment, 9)([large, large], [TextPrompt("a"), TextPrompt("b")])
    assert calls[0] == 1
    assert max(calls) <= TOGETHER
    assert sum(calls[1:]) == len(parts_of(large, 9)) > TOGETHER


def test_two_things_that_one_view_tells_apart_stay_two_though_they_touch(picture):
    image = picture(600, 800)

    def two(images, prompts):
        return [_halves(one) for one in images]

    def _halves(view: np.ndarray) -> Found:
        if view.shape[:2] != (600, 800):
            return nothing(view)
        left, right = np.zeros((2, 600, 800), bool)
        left[100:200, 100:200], right[100:200, 200:300] = True, True
        return all_of(view, [(Instance.of(left), 0.5), (Instance.of(right), 0.5)])

    assert len(Tiled(two, 3)([image], [TextPrompt("x")])[0].instances) == 2


def test_nothing_in_a_picture_and_nothing_in_its_parts_is_nothing(picture):
    found = Tiled(Finder(), 4)([picture(600, 800)], [TextPrompt("magenta")])[0]
    assert not found
    assert found.score == 0
    assert found.boxes == ()


def test_the_bundled_segmenter_finds_in_parts_what_is_too_small_for_it_in_the_whole():
    small = scene(5_000_000)
    image = np.full((512, 1920, 3), small.plate.mean(axis=(0, 1)).astype(np.uint8))
    image[300:428, 400:528] = small.image
    truth = np.zeros((512, 1920), bool)
    truth[300:428, 400:528] = small.object
    segment, prompt = load_segmenter("bundled", device="cpu"), TextPrompt(small.target.text)
    whole, tiled = (find([image], [prompt])[0].mask & truth for find in (segment, Tiled(segment, 14)))
    assert whole.sum() < 0.5 * truth.sum() < 0.8 * truth.sum() < tiled.sum()
