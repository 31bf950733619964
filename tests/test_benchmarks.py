"""The benchmarks' arithmetic, and what a removal costs. How well and how fast it goes is for them to say, not here."""

from __future__ import annotations

import numpy as np
import pytest

from removal.bundled.scenes import scene
from tests.benchmarks.quality import METHODS, best_of, fills, simple_fills
from tests.benchmarks.tables import half_interval, measured, table


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


def test_an_interval_of_the_mean_is_about_twice_its_standard_error():
    values = np.random.default_rng(1).normal(0, 3, 400)
    assert half_interval(values) == pytest.approx(1.96 * values.std() / 20, rel=0.05)
    assert half_interval(np.ones(5)) == 0


def test_the_table_has_a_line_for_every_fill_over_all_and_over_textures(scenes):
    figures = {name: measured(scenes, [results]) for name, results in simple_fills(scenes).items()}
    lines = table(scenes, figures).splitlines()
    assert [sum(line.startswith(f"| {name} |") for line in lines) for name in figures] == [2, 2, 2]


def test_the_best_of_several_results_is_the_one_that_fits(scenes):
    one = scenes[0]
    assert best_of([one.image, one.truth], one.mask) is one.truth


def test_every_method_of_the_table_has_a_name_of_its_own():
    assert all(len(set(methods)) == len(methods) for methods in METHODS.values())
