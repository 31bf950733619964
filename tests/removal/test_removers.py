"""What every remover keeps to, whatever its method and checkpoint: tiny ones with random weights, and the bundled."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import numpy as np
import pytest

from removal import Options, choose, load_remover
from removal.crops.crop import Crop
from removal.crops.device_turn import device_turn, seconds_waited
from removal.crops.remover import CropRemover

KINDS = ("inpainting", "plain", "xl", "plain-xl", "bundled", "telea")
DRAWN = KINDS[:-1]  # those that draw something at random
CHOICE = choose("sd15", "telea")


@pytest.fixture
def remover(tiny):
    """A function that loads the remover of a kind with few steps."""

    def load(kind: str, **options):
        if kind == "telea":
            return load_remover(method="telea", **options)
        model = kind if kind == "bundled" else str(tiny(kind))
        return load_remover(model, **{"steps": 2, "offline": True, "device": "cpu"} | options)

    return load


@pytest.fixture
def job(picture):
    """Three pictures of different sizes, smaller and larger than a crop, with masks inside, at an edge, in a corner."""
    images = [picture(50, 70), picture(32, 32), picture(25, 90)]
    masks = [np.zeros(image.shape[:2], bool) for image in images]
    masks[0][20:33, 30:41] = True
    masks[1][0:9, 0:12] = True
    masks[2][15:25, 80:90] = True
    masks[2][2, 40] = True
    return images, masks, [11, 22, 33]


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("inpainting", "inpainting"),
        ("plain", "blending"),
        ("xl", "inpainting"),
        ("plain-xl", "blending"),
        ("telea", "telea"),
    ],
)
def test_the_method_is_the_one_that_the_checkpoint_needs_and_the_remover_says_so(remover, kind, method):
    assert remover(kind).choice.method == method


@pytest.mark.parametrize("kind", KINDS)
def test_only_masked_pixels_differ_and_inputs_stay_as_they_were(remover, job, kind):
    images, masks, seeds = job
    before = [image.copy() for image in images], [mask.copy() for mask in masks]
    results = remover(kind)(images, masks, seeds)
    for image, mask, result in zip(images, masks, results, strict=True):
        assert (result.shape, result.dtype) == (image.shape, np.uint8)
        assert (result[~mask] == image[~mask]).all()
        assert (result[mask] != image[mask]).any()
        assert not np.shares_memory(result, image)
    assert all((a == b).all() for a, b in zip(images, before[0], strict=True))
    assert all((a == b).all() for a, b in zip(masks, before[1], strict=True))


@pytest.mark.parametrize("kind", DRAWN)
def test_the_same_seed_draws_the_same_picture_bit_for_bit_and_another_seed_another(remover, job, kind):
    images, masks, seeds = job
    remove = remover(kind)
    first, again, other = remove(images, masks, seeds), remove(images, masks, seeds), remove(images, masks, [1, 2, 3])
    for a, b, c in zip(first, again, other, strict=True):
        assert (a == b).all()
        assert (a != c).any()


@pytest.mark.parametrize("kind", DRAWN)
def test_a_picture_is_the_same_within_one_level_in_any_batch_and_order(remover, job, kind):
    images, masks, seeds = job
    together = remover(kind, batch_size=3)(images, masks, seeds)
    alone = remover(kind, batch_size=1)(images, masks, seeds)
    turned = remover(kind, batch_size=2)(images[::-1], masks[::-1], seeds[::-1])[::-1]
    for a, b, c in zip(together, alone, turned, strict=True):
        assert np.abs(a.astype(int) - b).max() <= 1
        assert np.abs(a.astype(int) - c).max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_mask_changes_nothing_and_its_neighbours_are_still_painted(remover, job, kind):
    images, masks, seeds = job
    remove = remover(kind)
    masks[1] = np.zeros_like(masks[1])
    results = remove(images, masks, seeds)
    assert (results[1] == images[1]).all()
    assert (results[0] != images[0]).any()
    assert (results[2] != images[2]).any()
    assert not np.shares_memory(results[1], images[1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_of_another_size_than_its_image_is_refused(remover, job, kind):
    images, masks, seeds = job
    masks[1] = masks[1][:-1]
    with pytest.raises(ValueError, match=r"a mask of \(31, 32\) does not fit an image of \(32, 32\)"):
        remover(kind)(images, masks, seeds)


@pytest.mark.parametrize("kind", KINDS)
def test_no_pictures_are_no_results(remover, kind):
    assert remover(kind)([], [], []) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_that_is_all_mask_is_painted_whole(remover, picture, kind):
    image = picture(40, 30)
    assert remover(kind)([image], [np.ones((40, 30), bool)], [0])[0].shape == image.shape


@pytest.mark.parametrize("kind", ["inpainting", "xl", "bundled"])
def test_what_was_in_the_hole_does_not_reach_the_result_of_an_inpainting_checkpoint(remover, picture, kind):
    """At strength 1 it starts from pure noise, and its own copy of the picture is grey in the hole."""
    remove = remover(kind, strength=1.0)
    side = remove.paint.resolution
    image, mask = picture(side, side), np.zeros((side, side), bool)
    mask[8:20, 8:20] = True
    repainted = image.copy()
    repainted[mask] = 255 - repainted[mask]
    assert (remove([image], [mask], [5])[0] == remove([repainted], [mask], [5])[0])[mask].all()


@pytest.mark.parametrize(("batch_size", "rows"), [(1, [1, 1, 1, 1]), (2, [2, 2]), (3, [3, 1]), (8, [4]), ("auto", [4])])
def test_the_batch_size_is_how_many_crops_share_a_pass(remover, job, batch_size, rows):
    remove, seen = remover("inpainting", steps=1, batch_size=batch_size), []
    hook = remove.paint.pipeline.unet.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    remove(*job)
    hook.remove()
    assert seen == rows  # the third picture's mask has two parts far apart, a crop each


# Batches, with a stand-in for the network ----------------------------------------------------------------------------


@dataclass
class Grey:
    """Paints each hole grey, in the level of its seed, everything `darker`, and notes each batch's seeds."""

    seen: list[list[int]] = field(default_factory=list)
    resolution: int = 16
    darker: int = 0

    def __call__(self, crops: list[Crop], seeds: list[int]) -> list[np.ndarray]:
        self.seen.append(seeds)
        holes = [(crop, crop.mask[..., None], np.uint8(seed)) for crop, seed in zip(crops, seeds, strict=True)]
        return [np.where(mask, seed, crop.image) - np.uint8(self.darker) for crop, mask, seed in holes]


def test_crops_of_different_pictures_share_a_batch_and_empty_masks_take_no_place_in_it(picture):
    grey = Grey()
    images = [picture(20 + k, 30) for k in range(7)]
    masks = [np.zeros(image.shape[:2], bool) for image in images]
    for k, mask in enumerate(masks):
        mask[4:9, 4:9] = k != 2
    results = CropRemover(CHOICE, grey, 2.0, 3)(images, masks, list(range(7)))
    assert grey.seen == [[0, 1, 3], [4, 5, 6]]
    for k, (image, mask, result) in enumerate(zip(images, masks, results, strict=True)):
        assert (result == np.where(mask[..., None], k, image)).all()  # each its own crop, in its own place


def test_two_removers_never_paint_at_the_same_time(picture):
    at_work, most, both = [], [], threading.Barrier(2)

    class Watched(Grey):
        def __call__(self, crops: list[Crop], seeds: list[int]) -> list[np.ndarray]:
            at_work.append(seeds)
            most.append(len(at_work))
            time.sleep(0.01)
            at_work.remove(seeds)
            return super().__call__(crops, seeds)

    def work(seed: int) -> None:
        remover = CropRemover(CHOICE, Watched(), 2.0, 1)
        both.wait(60)
        for _ in range(5):
            remover([picture(20, 30)], [np.ones((20, 30), bool)], [seed])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == [1] * 10


def test_a_thread_knows_how_long_it_waited_for_its_turn():
    held, said = threading.Event(), []

    def other() -> None:
        with device_turn():
            held.set()
            time.sleep(0.1)
        said.append(seconds_waited())

    thread = threading.Thread(target=other)
    thread.start()
    assert held.wait(60)
    before = seconds_waited()
    with device_turn():
        pass
    thread.join(60)
    assert seconds_waited() - before > 0.05
    assert said[0] < 0.05


def test_a_patch_that_came_out_darker_all_over_is_pasted_in_the_tone_of_its_picture(picture):
    image = np.full((30, 30, 3), 120, np.uint8)
    mask = np.zeros((30, 30), bool)
    mask[10:20, 10:20] = True
    (result,) = CropRemover(CHOICE, Grey(darker=15), 2.0, 1)([image], [mask], [100])
    assert np.abs(result[mask].astype(int) - 100).max() <= 4  # of 15; the rest is the resizing


def test_seeds_must_be_as_many_as_pictures(picture):
    with pytest.raises(ValueError, match="zip"):
        CropRemover(CHOICE, Grey(), 2.0, 2)([picture(9, 9)] * 2, [np.ones((9, 9), bool)] * 2, [1])


def test_a_remover_says_the_steps_and_strength_that_it_settled_on(remover):
    assert (remover("inpainting", steps=3).steps, remover("inpainting", steps=3).strength) == (3, 1.0)
    assert (remover("xl").steps, remover("xl").strength) == (2, 0.99)
    assert (remover("telea").steps, remover("telea").strength) == (None, None)


# Loading -------------------------------------------------------------------------------------------------------------


def test_a_remover_is_loaded_once_for_a_setting(remover):
    assert remover("inpainting") is remover("inpainting")
    assert remover("inpainting") is not remover("inpainting", steps=3)


def test_offline_a_model_that_is_not_in_the_cache_is_named(no_network):
    with pytest.raises(FileNotFoundError, match="no-one/nothing is not in the local cache"):
        load_remover("no-one/nothing", offline=True)


def test_an_unknown_option_is_refused():
    with pytest.raises(TypeError, match="stepz"):
        load_remover("bundled", stepz=3)


def test_auto_means_full_precision_on_a_cpu_and_a_named_type_means_itself():
    import torch

    assert Options(device="cpu").torch_dtype() == torch.float32
    assert Options(device="cpu", dtype="bfloat16").torch_dtype() == torch.bfloat16
    assert Options(device="cpu").torch_device() == torch.device("cpu")


def test_the_bundled_remover_takes_the_object_away_more_often_than_not(scenes):
    from removal.quality import there_again

    remove = load_remover("bundled", steps=8, offline=True, device="cpu")
    results = remove([s.image for s in scenes], [s.mask for s in scenes], list(range(len(scenes))))
    left = [there_again(r, s.truth, s.mask, s.object) for r, s in zip(results, scenes, strict=True)]
    assert sum(left) < len(scenes) / 2
