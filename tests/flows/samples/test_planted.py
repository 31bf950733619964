"""A reviewer of a whole run meets what failed first."""

import numpy as np
import pytest

from flows.samples.scenes import write_scenes
from tests.benchmarks.ladder import half_by_point
from tests.benchmarks.planted import PAGE, listed


@pytest.mark.slow
def test_of_twenty_objects_left_in_two_hundred_scenes_eighteen_are_on_the_first_page(tmp_path):
    write_scenes(tmp_path / "scenes", 200, seed=4)
    half_by_point(tmp_path / "scenes")
    left = {f"{number:04}.png" for number in np.random.default_rng(0).choice(200, 20, replace=False)}
    order = listed(tmp_path / "scenes", tmp_path / "out", left)
    assert len(order) == 200
    assert len(left & set(order[:PAGE])) >= 18
    assert len(left & set(order[:40])) >= 18
