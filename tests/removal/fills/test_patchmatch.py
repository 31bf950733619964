"""Removal by patches of the surroundings."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import patchmatch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from removal import load_remover
from removal.crops.crop import cut
from removal.fills import telea
from removal.fills.detail import magnified
from removal.fills.patchmatch import SEED, fill
from removal.painting.prefill import prefill
from removal.quality import psnr

BRICK, GREY, RED = (150, 90, 70), (128, 128, 128), (200, 30, 30)


def wall(height: int, width: int) -> np.ndarray:
    """Bricks with mortar between them."""
    image = np.full((height, width, 3), BRICK, np.uint8)
    for k, top in enumerate(range(0, height, 16)):
        image[top : top + 3] = 220
        for left in range(16 * (k % 2), width, 32):
            image[top : top + 16, left : left + 3] = 220
    return image


def disc(height: int, width: int, radius: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return (y - height // 2) ** 2 + (x - width // 2) ** 2 <= radius**2


def grain(height: int, width: int, seed: int = 0) -> np.ndarray:
    levels = np.random.default_rng(seed).normal(0, 25, (height, width, 1))
    return np.clip(np.array(GREY) + levels, 0, 255).astype(np.uint8)


def test_a_wall_goes_on_through_a_hole_where_telea_smears_it():
    truth, mask = wall(128, 160), disc(128, 160, 22)
    scribbled = truth.copy()
    scribbled[mask] = (0, 255, 0)
    assert psnr(fill(scribbled, mask), truth, mask) > psnr(telea.fill(scribbled, mask), truth, mask) + 6


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_only_the_hole_changes_whatever_its_place_and_size(height, width, data):
    image = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    mask = np.zeros((height, width), bool)
    mask[data.draw(st.integers(0, height - 1)) :, : data.draw(st.integers(1, width))] = True
    before = image.copy()
    filled = fill(image, mask)
    assert filled.shape == image.shape
    assert (filled[~mask] == image[~mask]).all()
    assert (image == before).all()


ODD = {
    "all of a picture": np.ones((30, 40), bool),
    "all of one pixel": np.ones((1, 1), bool),
    "all but one pixel": ~disc(30, 40, 0),
    "one pixel": disc(30, 40, 0),
    "none": np.zeros((30, 40), bool),
    "a corner": np.pad(np.ones((8, 8), bool), ((0, 22), (0, 32))),
    "a frame": np.pad(np.zeros((20, 30), bool), 5, constant_values=True),
    "a row of a picture of two": np.array([[True] * 50, [False] * 50]),
    "specks": np.random.default_rng(1).random((60, 60)) < 0.5,
    "a thin picture's middle": np.pad(np.ones((3, 20), bool), ((0, 0), (90, 90))),
}


@pytest.mark.parametrize("name", ODD)
def test_what_telea_fills_is_filled(name):
    mask = ODD[name]
    image = grain(*mask.shape)
    image[mask] = (0, 255, 0)
    for avoid in (None, ~mask, np.ones_like(mask)):
        filled = fill(image, mask, avoid)
        assert (filled[~mask] == image[~mask]).all()
        if not mask.all():
            assert not (filled[mask] == (0, 255, 0)).all(axis=-1).any()


def test_nothing_is_copied_from_what_is_to_be_avoided_or_from_other_masks():
    image, mask = grain(120, 160), np.zeros((120, 160), bool)
    image[:, 90:110] = RED  # a post beside the hole, and through it
    mask[50:70, 80:100] = True
    red = image[..., 0].astype(int) - image[..., 1] > 100
    assert (fill(image, mask)[mask][:, 0].astype(int) - fill(image, mask)[mask][:, 1] > 100).any()
    without = fill(image, mask, red & ~mask)[mask].astype(int)
    assert not (without[:, 0] - without[:, 1] > 100).any()
    among_masks = fill(image, mask | red)[mask].astype(int)
    assert not (among_masks[:, 0] - among_masks[:, 1] > 100).any()


def test_a_fill_is_the_same_alone_and_beside_others_and_whatever_seed_somebody_else_left():
    images = [wall(90, 110), grain(120, 90), grain(70, 70, 3)] * 2
    masks = [disc(*image.shape[:2], 15) for image in images]
    alone = [fill(image, mask) for image, mask in zip(images, masks, strict=True)]
    patchmatch.set_random_seed(SEED + 1)
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(fill, images, masks))
    by_remover = load_remover(method="patchmatch")(images, masks, [4] * 6)
    for one, two, three in zip(alone, together, by_remover, strict=True):
        assert (one == two).all()
        assert (one == three).all()


def test_a_remover_avoids_what_it_is_told_for_each_picture():
    image, mask = grain(100, 100), disc(100, 100, 12)
    image[:, 50:] = RED
    avoid = np.zeros_like(mask)
    avoid[:, 50:] = ~mask[:, 50:]
    free, bound = load_remover(method="patchmatch")([image, image], [mask, mask], [0, 0], [None, avoid])
    assert (free == fill(image, mask)).all()
    assert (bound == fill(image, mask, avoid)).all()
    assert (free != bound).any()


def test_a_hole_too_large_for_its_time_is_searched_at_a_smaller_size(monkeypatch):
    sizes, real = [], patchmatch.inpaint
    monkeypatch.setattr(
        patchmatch, "inpaint", lambda image, *a, **k: sizes.append(image.shape[:2]) or real(image, *a, **k)
    )
    image, mask = grain(200, 200), disc(200, 200, 60)
    whole = fill(image, mask)
    short = fill(image, mask, seconds=0.03)
    assert sizes[0][0] > 150
    assert sizes[1][0] < 80
    for filled in (whole, short):
        assert (filled[~mask] == image[~mask]).all()


def test_a_fill_made_small_has_the_detail_of_the_full_size():
    image, mask = grain(240, 240), disc(240, 240, 50)

    def roughness(filled: np.ndarray) -> float:
        fine = filled.astype(float) - cv2.GaussianBlur(filled.astype(float), (0, 0), 2)
        return float(fine[cv2.erode(mask.astype(np.uint8), np.ones((9, 9))) > 0].std())

    filled = fill(image, mask, seconds=0.05)
    assert 0.7 < roughness(filled) / roughness(image) < 1.3


def test_detail_is_never_taken_from_what_is_to_be_avoided():
    image, mask = grain(160, 160), disc(160, 160, 30)
    image[:, 120:] = np.where(np.indices((160, 40)).sum(0)[..., None] % 2, 255, 0)  # a chessboard of single pixels
    avoid = np.zeros_like(mask)
    avoid[:, 118:] = True
    grey = lambda small, hole, _: np.full_like(small, 128)  # noqa: E731
    filled = magnified(image, mask, avoid, 0.4, grey)[mask]
    assert np.abs(filled.astype(int) - 128).max() < 110


def test_a_start_for_a_model_holds_nothing_of_what_is_to_be_avoided():
    image, mask = grain(128, 128), disc(128, 128, 12)
    image[:, 64:] = RED
    avoid = np.zeros_like(mask)
    avoid[:, 64:] = True
    crop = cut(image, mask, 128, avoid=avoid)
    filled = prefill(crop.image, crop.mask, crop.avoid)[mask].astype(int)
    assert not (filled[:, 0] - filled[:, 1] > 100).any()
    assert (prefill(crop.image, crop.mask)[mask][:, 0] > 190).any()


def test_what_is_farther_away_than_three_quarters_of_the_context_does_not_come_into_a_hole():
    image, mask = grain(300, 300), np.zeros((300, 300), bool)
    mask[80:220, 80:220] = True  # a context of 2 is 70 pixels on each side
    elsewhere = image.copy()
    elsewhere[:, :24] = elsewhere[:24] = elsewhere[:, -24:] = elsewhere[-24:] = RED
    assert (fill(elsewhere, mask)[mask] == fill(image, mask)[mask]).all()
    elsewhere[:, :60] = RED
    assert (fill(elsewhere, mask)[mask] != fill(image, mask)[mask]).any()
