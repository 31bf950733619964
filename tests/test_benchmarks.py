"""The benchmarks' arithmetic, and what a removal costs. How well and how fast it goes is for them to say, not here."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from removal import PRESETS
from removal.bundled.scenes import scene
from removal.crops.crop import Crop
from removal.verify import fit
from tests.benchmarks import quality_photos
from tests.benchmarks.bench import gpu
from tests.benchmarks.bench.figures import Figure
from tests.benchmarks.bench.launching_device import LaunchingDevice, busy
from tests.benchmarks.edges import boundary_iou, guided
from tests.benchmarks.gate import area
from tests.benchmarks.gate_photos import judged_fills
from tests.benchmarks.photo_fills import fills as filled_in_every_way
from tests.benchmarks.photos import covered
from tests.benchmarks.quality import METHODS, best_of, fills, simple_fills
from tests.benchmarks.tables import half_interval, measured, table
from tests.benchmarks.truth import failed


@pytest.fixture(scope="module")
def scenes():
    return [scene(3_000_000 + k) for k in range(2)]


@pytest.mark.parametrize(
    ("model", "options", "evaluations"),
    [
        ("bundled", {}, 20),
        ("bundled", {"method": "attentive"}, 40),
        ("bundled", {"prompt": "wood"}, 40),
        ("bundled-base", {"method": "blending", "strength": 0.75}, 15),
    ],
)
def test_a_scene_costs_a_row_of_the_unet_a_step_and_two_where_there_are_two_branches(
    scenes, model, options, evaluations
):
    results, found = fills(model, scenes, 1, **options)
    assert found == evaluations
    assert len(results[0]) == len(scenes)


def test_the_figures_of_a_scene_are_the_mean_over_its_seeds(scenes):
    left, exact = [s.image for s in scenes], [s.truth for s in scenes]
    assert measured(scenes, [left, exact]).values["there_again"].tolist() == [0.5, 0.5]
    assert measured(scenes, [exact]).values["psnr"].tolist() == [99.0, 99.0]


def test_boundary_iou_is_1_for_the_truth_and_falls_as_a_mask_is_moved_though_its_area_hardly_differs():
    truth = np.zeros((120, 120), bool)
    truth[20:100, 20:100] = True
    moved = [boundary_iou(np.roll(truth, by, axis=1), truth) for by in (0, 1, 3)]
    assert moved[0] == 1 > moved[1] > moved[2] > 0.3


def test_a_guided_filter_moves_a_soft_edge_to_where_the_colour_changes():
    truth = np.zeros((96, 96), bool)
    truth[30:70, 30:70] = True
    guide = np.where(truth[..., None], (0.9, 0.2, 0.2), (0.1, 0.5, 0.6)).astype(np.float32)
    soft = cv2.blur(truth.astype(np.float32), (9, 9)) - 0.1
    assert boundary_iou(soft > 0.5, truth) < 0.95 < boundary_iou(guided(guide, soft) > 0.5, truth)


def test_an_interval_of_the_mean_is_about_twice_its_standard_error():
    values = np.random.default_rng(1).normal(0, 3, 400)
    assert half_interval(values) == pytest.approx(1.96 * values.std() / 20, rel=0.05)
    assert half_interval(np.ones(5)) == 0


def test_the_table_has_a_line_for_every_fill_over_all_and_over_textures(scenes):
    figures = {name: measured(scenes, [results]) for name, results in simple_fills(scenes).items()}
    lines = table(scenes, figures).splitlines()
    assert [sum(line.startswith(f"| {name} |") for line in lines) for name in figures] == [2] * len(figures)
    assert {"OpenCV's Telea", "PatchMatch"} < set(figures)


def test_the_best_of_several_results_is_the_one_that_fits(scenes):
    one = scenes[0]
    assert best_of([one.image, one.truth], one.mask) is one.truth


def test_every_method_of_the_table_has_a_name_of_its_own():
    assert all(len(set(methods)) == len(methods) for methods in METHODS.values())


def test_photos_are_filled_by_every_fill_and_every_checkpoint_that_is_on_this_machine():
    names = " ".join(quality_photos.ways())
    here = [name for name, row in PRESETS.items() if row.repo and row.is_local]
    assert len(here) >= 3
    assert all(f"`{name}`" in names for name in [*here, "telea", "patchmatch"])


@pytest.fixture(scope="module")
def holes():
    """Two holes in each of three photos: wood, an evening sky, a wall of bricks."""
    names = ("coffee.png", "rocket.jpg", "brick.png")
    return [one for name in names for one in [one for one in covered() if one.photo == name][:2]]


def test_a_photo_is_covered_under_its_mask_alone_and_every_fill_changes_nothing_else(holes):
    assert len(holes) == 6
    for one in holes:
        assert (one.image == one.truth)[~one.mask].all()
        assert one.mask[one.object].all()
    for result in filled_in_every_way(holes[0], holes[2].truth).values():
        assert (result == holes[0].truth)[~holes[0].mask].all()


def test_the_truth_calls_itself_a_success_an_object_a_failure_and_a_smear_of_bricks_too(holes):
    assert not any(failed(one.truth, one.truth, one.mask) for one in holes)
    assert all(failed(one.image, one.truth, one.mask) for one in holes[:4])
    made = filled_in_every_way(holes[-1], holes[0].truth)
    assert failed(made["telea"], holes[-1].truth, holes[-1].mask)
    assert failed(made["patchmatch"], holes[-1].truth, holes[-1].mask) is False


def test_verdicts_tell_failures_on_photos_from_good_fills(holes):
    judged = [one for one in judged_fills(holes) if one.failed is not None]
    bad, doubt = np.array([one.failed for one in judged]), np.array([one.fit.doubt for one in judged])
    assert area(doubt, bad) > 0.9
    assert (doubt[bad] > 1).mean() > 0.8
    assert (doubt[~bad] > 1).mean() <= 0.15
    assert all(fit(one.truth, one.mask).doubt < 1 for one in holes)


@pytest.mark.parametrize(
    ("part", "models", "said"),
    [
        ("files", ["sd15"], "files, sd15: images/s of 2"),
        ("files", ["patchmatch"], "files, patchmatch: images/s of 2"),
        ("painter", ["sdxl"], "painter, sdxl: crops/s, batch 2"),
        ("unet", [], "unet, sd15: UNet, eager"),
        ("vae", ["sdxl"], "vae, sdxl: decode, eager: MFU"),
        ("vae", [], "vae, sd15: encode, eager"),
        ("sam", [], "sam, points by ViT-B, 12 megapixels: images/s"),
        ("dino", [], "dino, images/s, TF32 as shipped"),
        pytest.param("files", ["lama"], "files, lama: images/s of 2", marks=pytest.mark.slow),
        pytest.param("compile", [], "compile, sd15: until it is ready, warm", marks=pytest.mark.slow),
    ],
)
def test_every_part_of_tier_4_works_to_its_end_on_tiny_networks(part, models, said):
    found = [Figure(4, *figure) for figure in gpu.measure(True, [part], models)]
    figures = {figure.what: figure.value for figure in found}
    assert figures[said] > 0


@pytest.mark.slow
def test_networks_are_also_measured_compiled():
    found = {what: value for what, value, *_ in gpu.measure(False, ["vae"], ["sd15"])}
    assert found["vae, sd15: decode, compiled"] > 0


def test_a_part_that_is_none_is_answered_with_those_there_are():
    with pytest.raises(SystemExit, match="no part gpus; there are files, painter, unet"):
        next(gpu.measure(True, ["gpus"]))


def test_a_device_that_is_launched_as_long_as_it_computes_is_busy_all_the_time_and_one_launched_twice_as_long_half():
    assert busy([1.0, 1.0], [0.2, 1.0]) == 1
    assert busy([1.0, 1.0], [2.0, 2.0]) == 0.5
    device = LaunchingDevice(0.0, 1)
    began = time.thread_time()
    device([Crop(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), bool), 0, 0, 8)], [1])
    assert time.thread_time() - began > 0  # it holds a core, and with it the interpreter
    assert device.share == 0
