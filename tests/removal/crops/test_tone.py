"""The tone of a patch: an offset is taken off, everything else stays."""

import cv2
import numpy as np
import pytest

from removal.crops import tone

SIDE = 128
Y, X = np.mgrid[0:SIDE, 0:SIDE].astype(float)


@pytest.fixture
def image() -> np.ndarray:
    smooth = 120 + 40 * np.sin(X / 30) + 30 * np.cos(Y / 25)
    return np.repeat(smooth[..., None], 3, axis=2).astype(np.uint8)


@pytest.fixture
def mask() -> np.ndarray:
    return np.hypot(X - 60, Y - 70) < 25


def worst(found: np.ndarray, wanted: np.ndarray, mask: np.ndarray) -> int:
    return int(np.abs(found.astype(int) - wanted.astype(int))[mask].max())


@pytest.mark.parametrize("offset", [(9, 9, 9), (-12, 3, 20), (0, 0, 0)])
def test_an_even_offset_is_taken_off(image, mask, offset):
    patch = np.clip(image.astype(int) + offset, 0, 255).astype(np.uint8)
    assert worst(tone.match_ring(image, mask, patch), image, mask) <= 1


def test_an_offset_that_changes_across_the_hole_is_taken_off(image, mask):
    patch = np.clip(image + (X - 64)[..., None] * 0.3, 0, 255).round().astype(np.uint8)
    assert worst(tone.match_ring(image, mask, patch), image, mask) <= 2


def test_what_the_patch_shows_inside_the_hole_stays(image, mask):
    patch = image.copy()
    cv2.circle(patch, (60, 70), 12, (200, 30, 30), -1)
    assert (tone.match_ring(image, mask, patch) == patch)[mask].all()


def test_what_an_autoencoder_loses_in_a_texture_does_not_become_an_offset(image, mask):
    lost = np.random.default_rng(0).normal(0, 12, image.shape)
    patch = np.clip(image + lost, 0, 255).round().astype(np.uint8)
    middle = np.hypot(X - 60, Y - 70) < 15
    assert worst(tone.match_ring(image, mask, patch), patch, middle) <= 3


@pytest.mark.parametrize("shape", ["all", "none"])
def test_without_a_ring_nothing_is_changed(image, shape):
    mask = np.full((SIDE, SIDE), shape == "all")
    patch = image // 2
    assert (tone.match_ring(image, mask, patch) == patch).all()


@pytest.mark.parametrize("side", [9, 64, 512])
def test_a_crop_of_any_side_keeps_its_shape(side):
    image = np.full((side, side, 3), 100, np.uint8)
    mask = np.zeros((side, side), bool)
    mask[side // 3 : 2 * side // 3, side // 3 :] = True  # reaches the crop's edge
    matched = tone.match_ring(image, mask, image + 7)
    assert (matched.shape, matched.dtype) == (image.shape, np.uint8)
    assert worst(matched, image, mask) <= 1
