"""The shadow of an object joins its mask where it can be told from its ground."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from masks import shadow_of
from removal.bundled.scenes import scene
from tests.benchmarks.shadows import measured, with_shadow

SCENES = [scene(5_000_000 + number) for number in range(24)]


def ground(height: int = 200, width: int = 260) -> np.ndarray:
    """A grey-green ground with a little noise, H×W×3 uint8."""
    noise = np.random.default_rng(3).normal(0, 3, (height, width, 3))
    return np.clip(np.array([130, 150, 120]) + noise, 0, 255).astype(np.uint8)


def disc(image: np.ndarray, x: int, y: int, radius: int) -> np.ndarray:
    return cv2.circle(np.zeros(image.shape[:2], np.uint8), (x, y), radius, 1, -1) > 0


def with_disc(image: np.ndarray, x: int = 110, y: int = 90, radius: int = 30, dark: float = 0.6, tint=(1, 1, 1)):
    """A red disc and what lies behind it to the lower right: the ground times `dark`, in a `tint` of its own."""
    thing = disc(image, x, y, radius)
    behind = disc(image, x + radius // 2, y + radius // 2, radius) & ~thing
    image = image.copy()
    image[behind] = np.clip(image[behind] * dark * np.array(tint), 0, 255).astype(np.uint8)
    image[thing] = (200, 30, 40)
    return image, thing, behind


def test_a_long_shadow_is_found_and_little_else():
    """On the scenes, with a shadow drawn whose truth is known, over smooth and textured grounds."""
    without, within, beside = measured([with_shadow(s, 0.8) for s in SCENES])
    assert without < 0.6
    assert within > 0.8
    assert beside < 0.03


@pytest.mark.parametrize("scale", [1, 6])
def test_a_shadow_is_found_at_any_size_of_the_picture(scale):
    image, thing, behind = with_disc(ground())
    large = (image.shape[1] * scale, image.shape[0] * scale)
    image = cv2.resize(image, large, interpolation=cv2.INTER_LINEAR)
    thing, behind = (
        cv2.resize(m.astype(np.uint8), large, interpolation=cv2.INTER_NEAREST) > 0 for m in (thing, behind)
    )
    found = shadow_of(image, thing)
    assert (found & behind).sum() > 0.9 * behind.sum()
    assert (found & ~behind).sum() < 0.12 * thing.sum()


@pytest.mark.parametrize(
    ("dark", "tint"), [(1.3, (1, 1, 1)), (1.0, (1, 1, 1)), (0.1, (1, 1, 1)), (0.8, (0.5, 1.0, 1.6))]
)
def test_what_is_brighter_alike_as_dark_as_a_thing_or_of_another_colour_is_no_shadow(dark, tint):
    image, thing, _ = with_disc(ground(), dark=dark, tint=tint)
    assert not shadow_of(image, thing).any()


def test_a_shadow_lies_beside_its_object_and_touches_it():
    image, thing, _ = with_disc(ground())
    found = shadow_of(image, thing)
    assert not (found & thing).any()
    assert (found & (cv2.dilate(thing.astype(np.uint8), np.ones((3, 3))) > 0)).any()
    apart = ground()
    dark = disc(apart, 190, 150, 20)  # a dark patch that begins 40 pixels from the object
    apart[dark] = (apart[dark] * 0.6).astype(np.uint8)
    apart[thing] = (200, 30, 40)
    assert not shadow_of(apart, thing).any()


def test_darker_ground_that_goes_on_is_no_shadow():
    image = ground()
    image[:, 130:] = (image[:, 130:] * 0.6).astype(np.uint8)  # the disc stands at the edge of a darker half
    image, thing, _ = with_disc(image, dark=1.0)
    assert not shadow_of(image, thing).any()


def test_every_object_of_a_mask_gets_its_own_shadow_and_the_image_stays_as_it_is():
    image, one, first = with_disc(ground(200, 420))
    image, other, second = with_disc(image, x=320, y=100, radius=22)
    before = image.copy()
    found = shadow_of(image, one | other)
    for behind in (first, second):
        assert (found & behind).sum() > 0.8 * behind.sum()
    assert (image == before).all()


@pytest.mark.parametrize("mask", [np.zeros((200, 260), bool), np.ones((200, 260), bool)])
def test_a_mask_of_nothing_or_of_everything_has_no_shadow(mask):
    assert not shadow_of(ground(), mask).any()
