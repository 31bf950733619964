"""The figures say what they are named for, on scenes whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from removal.quality import measure, psnr, ring_mean, seam, ssim, there_again, through_autoencoder


def hole(size: int = 60) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[20:40, 20:40] = True
    return mask


def test_equal_images_have_the_highest_psnr_and_an_ssim_of_1(scenes):
    for s in scenes[:3]:
        assert psnr(s.truth, s.truth, s.mask) == 99.0
        assert ssim(s.truth, s.truth, s.mask) == pytest.approx(1.0)


def test_psnr_is_of_the_hole_alone_and_falls_by_20_for_a_tenfold_error():
    truth, mask = np.full((60, 60, 3), 100, np.uint8), hole()
    near, far = truth.copy(), truth.copy()
    near[mask], far[mask] = 101, 110
    assert psnr(near, truth, mask) == pytest.approx(20 * np.log10(255))
    assert psnr(near, truth, mask) - psnr(far, truth, mask) == pytest.approx(20)
    near[~mask] = 0
    assert psnr(near, truth, mask) == pytest.approx(20 * np.log10(255))


def test_ssim_falls_when_structure_goes_though_the_colour_is_right(scenes):
    s = next(s for s in scenes if s.textured)
    assert ssim(ring_mean(s.truth, s.mask), s.truth, s.mask) < 0.9


def test_an_object_left_in_its_place_is_there_again_and_the_truth_is_not(scenes):
    for s in scenes:
        assert there_again(s.image, s.truth, s.mask, s.object)
        assert not there_again(s.truth, s.truth, s.mask, s.object)


def test_a_pattern_that_goes_on_a_little_beside_its_place_is_no_object(scenes):
    for s in scenes:
        moved = s.truth.copy()
        moved[s.mask] = np.roll(s.truth, (3, 4), (0, 1))[s.mask]
        assert not there_again(moved, s.truth, s.mask, s.object)


@pytest.mark.parametrize(("share", "seen"), [(0.05, False), (0.2, True)])
def test_a_strange_patch_counts_from_a_tenth_of_the_object_on(scenes, share, seen):
    s = max(scenes, key=lambda s: s.object.sum())
    across = np.mgrid[0:128, 0:128] - np.array(s.point)[::-1, None, None]
    strange = (np.hypot(*across) < np.sqrt(share * s.object.sum() / np.pi)) & s.mask
    patched = s.truth.copy()
    patched[strange] = (255, 0, 255)
    assert there_again(patched, s.truth, s.mask, s.object) == seen


def test_the_seam_of_the_untouched_truth_is_near_1_and_that_of_a_pasted_grey_patch_is_larger(scenes):
    untouched, pasted = [], []
    for s in scenes:
        grey = s.truth.copy()
        grey[s.mask] = 30
        untouched.append(seam(s.truth, s.mask))
        pasted.append(seam(grey, s.mask))
        assert pasted[-1] > untouched[-1]
    assert 0.7 < np.mean(untouched) < 1.4
    assert np.median(pasted) > 3


def test_a_hole_without_surroundings_has_no_seam():
    assert seam(np.zeros((20, 20, 3), np.uint8), np.ones((20, 20), bool)) == 1.0


def test_ring_mean_is_one_colour_in_the_hole_which_is_that_of_the_ring_and_nothing_else_changes():
    image, mask = np.zeros((60, 60, 3), np.uint8), hole()
    image[14:46, 14:46] = (10, 20, 30)  # the ring of 6 pixels around the hole, and no more
    image[mask] = 255
    before = image.copy()
    filled = ring_mean(image, mask)
    assert (filled[mask] == (10, 20, 30)).all()
    assert (filled[~mask] == image[~mask]).all()
    assert (image == before).all()


def test_measure_gives_every_figure_and_the_truth_the_best_of_each(scenes):
    s = scenes[1]
    best, left = measure(s.truth, s.truth, s.mask, s.object), measure(s.image, s.truth, s.mask, s.object)
    assert set(best) == {"psnr", "ssim", "low_passed_psnr", "there_again", "seam"}
    assert (best["there_again"], left["there_again"]) == (0.0, 1.0)
    for figure in ("psnr", "ssim", "low_passed_psnr"):
        assert best[figure] > left[figure]


def test_the_bundled_autoencoder_keeps_the_size_and_roughly_the_picture(scenes):
    images = [s.truth for s in scenes[:3]]
    for image, decoded in zip(images, through_autoencoder(images), strict=True):
        assert (decoded.shape, decoded.dtype) == (image.shape, np.uint8)
        assert psnr(decoded, image, np.ones(image.shape[:2], bool)) > 18
