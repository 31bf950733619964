"""Cut and paste are a pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from removal import load_remover
from removal.crops.crop import Crop, check, cut, feather, paste


@st.composite
def pictures(draw, longest: int = 70):
    """A noisy picture of an odd size (down to 1×1) and a mask: a box anywhere, often at an edge or in a corner."""
    height, width = draw(st.integers(1, longest)), draw(st.integers(1, longest))
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    bottom, right = draw(st.integers(top + 1, height)), draw(st.integers(left + 1, width))
    image = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 256, (height, width, 3), np.uint8)
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = True
    return image, mask


RESOLUTIONS, CONTEXTS = st.sampled_from([8, 16, 32, 64]), st.floats(1.0, 4.0)


@given(pictures(), RESOLUTIONS, CONTEXTS)
def test_only_masked_pixels_change_and_all_of_them_do(drawn, resolution, context):
    image, mask = drawn
    crop = cut(image, mask, resolution, context)
    for level in (0, 255):
        result = paste(image, mask, crop, np.full((resolution, resolution, 3), level, np.uint8))
        assert (result[~mask] == image[~mask]).all()
        assert (result[mask] == level).all()


@given(pictures(), CONTEXTS)
def test_pasting_back_what_was_cut_at_its_own_size_changes_nothing(drawn, context):
    image, mask = drawn
    side = cut(image, mask, 8, context).side
    crop = cut(image, mask, side, context)
    assert crop.side == side
    assert (paste(image, mask, crop, crop.image) == image).all()


@given(pictures(), RESOLUTIONS, CONTEXTS)
def test_the_square_lies_inside_the_picture_where_it_fits_and_is_centred_where_not(drawn, resolution, context):
    image, mask = drawn
    crop = cut(image, mask, resolution, context)
    for start, length in ((crop.left, mask.shape[1]), (crop.top, mask.shape[0])):
        if crop.side <= length:
            assert 0 <= start <= length - crop.side
        else:
            assert start == (length - crop.side) // 2


@given(pictures(), RESOLUTIONS, CONTEXTS)
def test_the_square_holds_the_whole_mask(drawn, resolution, context):
    image, mask = drawn
    crop = cut(image, mask, resolution, context)
    inside = np.zeros_like(mask)
    inside[max(crop.top, 0) : crop.top + crop.side, max(crop.left, 0) : crop.left + crop.side] = True
    assert inside[mask].all()


@given(pictures(), RESOLUTIONS, CONTEXTS)
def test_a_crop_has_the_models_size_and_is_a_copy(drawn, resolution, context):
    image, mask = drawn
    before = image.copy(), mask.copy()
    crop = cut(image, mask, resolution, context)
    assert (crop.image.shape, crop.image.dtype) == ((resolution, resolution, 3), np.uint8)
    assert (crop.mask.shape, crop.mask.dtype) == ((resolution, resolution), bool)
    crop.image[:], crop.mask[:] = 0, False
    paste(image, mask, crop, crop.image)[:] = 7
    assert (image == before[0]).all()
    assert (mask == before[1]).all()


def test_what_does_not_fit_is_mirrored_at_the_pictures_edge():
    """A mask 40 wide in a picture 10 high: 15 rows above and below are the mirror image of those beside them."""
    image = np.random.default_rng(0).integers(0, 256, (10, 40, 3), np.uint8)
    crop = cut(image, np.ones((10, 40), bool), 40)
    assert (crop.top, crop.left, crop.side) == (-15, 0, 40)
    assert (crop.image[15:25] == image).all()
    assert (crop.image[14] == image[1]).all()
    assert (crop.image[25] == image[8]).all()
    assert not crop.mask[:15].any()
    assert not crop.mask[25:].any()


def test_the_square_is_the_context_times_the_masks_box(picture):
    mask = np.zeros((400, 500), bool)
    mask[100:150, 200:230] = True
    for context, side in ((2.0, 100), (3.0, 150), (1.0, 50)):
        assert cut(picture(400, 500), mask, 32, context).side == side


def test_a_small_mask_in_a_large_picture_is_not_magnified(picture):
    mask = np.zeros((400, 500), bool)
    mask[200, 200] = True
    image = picture(400, 500)
    crop = cut(image, mask, 128)
    assert crop.side == 128
    assert (crop.image == image[crop.top : crop.top + 128, crop.left : crop.left + 128]).all()


@given(st.integers(33, 700), st.floats(0, 0.999), st.floats(0, 0.999))
def test_shrinking_a_mask_keeps_every_pixel_that_it_touches(side, y, x):
    """A single pixel of a large picture still covers where it lies in the small one."""
    mask = np.zeros((side, side), bool)
    row, column = int(y * side), int(x * side)
    mask[row, column] = mask[0, 0] = mask[-1, -1] = True  # the corners make the square the whole picture
    crop = cut(np.zeros((side, side, 3), np.uint8), mask, 32)
    assert crop.side == side
    assert crop.mask[int((row + 0.5) * 32 / side), int((column + 0.5) * 32 / side)]


def test_shrinking_a_mask_does_not_spread_it():
    mask = np.zeros((320, 320), bool)
    mask[0, 0] = mask[-1, -1] = mask[155, 155] = True
    assert cut(np.zeros((320, 320, 3), np.uint8), mask, 32).mask.sum() == 3


def test_an_empty_mask_cannot_be_cut_around():
    with pytest.raises(ValueError, match="the mask is empty"):
        cut(np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9), bool), 8)


def test_a_patch_of_another_size_than_the_square_is_scaled_to_it(picture):
    image, mask = picture(100, 100), np.zeros((100, 100), bool)
    mask[40:60, 40:60] = True
    crop = Crop(image[30:70, 30:70], mask[30:70, 30:70], 30, 30, 40)
    halves = np.zeros((8, 8, 3), np.uint8)
    halves[:, 4:] = 200
    result = paste(image, mask, crop, halves)
    assert (result[40:60, 40:45] < 60).all()
    assert (result[40:60, 55:60] > 140).all()


def test_images_masks_and_seeds_must_match(picture):
    image, mask = picture(9, 7), np.ones((9, 7), bool)
    check([image], [mask], [0])
    with pytest.raises(ValueError, match=r"a mask of \(7, 9\) does not fit an image of \(9, 7\)"):
        check([image], [mask.T], [0])
    for images, masks, seeds in (([image] * 2, [mask], [0]), ([image], [mask] * 2, [0]), ([image], [mask], [])):
        with pytest.raises(ValueError, match="zip"):
            check(images, masks, seeds)


# Feathering ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def faded():
    """Black where the image was, white where it was painted, faded over 3 pixels; and the mask, clear of the edges."""
    image, result = np.zeros((40, 50, 3), np.uint8), np.zeros((40, 50, 3), np.uint8)
    mask = np.zeros((40, 50), bool)
    mask[10:30, 12:40] = True
    result[mask] = 255
    return feather(image, result, mask, 3), mask


def test_a_feather_fades_over_its_width_inside_the_mask_and_nowhere_else(faded):
    result, mask = faded
    assert (result[~mask] == 0).all()
    assert result[20, 12:17, 0].tolist() == [64, 128, 191, 255, 255]
    assert (result[13:27, 15:37] == 255).all()


def test_a_feather_of_nothing_is_the_result_itself(picture):
    image, result, mask = picture(30, 30), picture(30, 30)[::-1].copy(), np.zeros((30, 30), bool)
    mask[5:20, 5:20] = True
    assert (feather(image, result, mask, 0) == result).all()
    assert (feather(image, result, np.zeros_like(mask), 4) == result).all()


def test_at_the_pictures_edge_there_is_nothing_to_fade_into():
    image, result = np.zeros((30, 30, 3), np.uint8), np.full((30, 30, 3), 255, np.uint8)
    mask = np.zeros((30, 30), bool)
    mask[:20, :20] = True
    faded = feather(image, result, mask, 4)
    assert (faded[:15, :15] == 255).all()
    assert (faded[19, :15] < 100).all()
    assert (feather(image, result, np.ones_like(mask), 4) == result).all()


def test_a_feather_changes_neither_of_its_pictures(faded):
    image, result, mask = np.zeros((9, 9, 3), np.uint8), np.full((9, 9, 3), 200, np.uint8), np.zeros((9, 9), bool)
    mask[2:7, 2:7] = True
    feather(image, result, mask, 2)
    assert (image == 0).all()
    assert (result == 200).all()


# Thin masks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("upright", [True, False])
def test_a_line_of_one_to_four_pixels_is_repainted_whole(width, upright):
    """Nearest sampling of the mask, as diffusers has it, would leave three quarters of a line of one pixel."""
    image, mask = np.full((128, 128, 3), 90, np.uint8), np.zeros((128, 128), bool)
    mask[20:110, 61 : 61 + width] = True
    mask = mask if upright else np.ascontiguousarray(mask.T)
    image[mask] = (255, 0, 0)
    remove = load_remover("bundled", device="cpu")
    result = remove([image], [mask], [0])[0]
    assert (result[~mask] == image[~mask]).all()
    off = np.abs(result[mask].astype(int) - 90).max(axis=1)
    assert (off < 45).mean() >= 0.95
