"""Pictures of every name that a file may have: each gets its row, and what can be done of it is done."""

from __future__ import annotations

import numpy as np

from flows.run import run
from tests.benchmarks.odd_names import ODD
from tests.benchmarks.soak import put_where_it_fits
from tests.flows.small import delivered, mask, mask_in, rows, small

UNMASKED = (f"{'l' * 251}.png", "same.png.png/inner.png")  # whose masks have no place in a folder of masks


def test_pictures_with_odd_names_are_done_as_others_are_and_what_has_no_place_has_its_reason(tmp_path):
    job = small(tmp_path, 0, max_failures="100%")
    for number, name in enumerate(ODD):
        put_where_it_fits(tmp_path, name, number)
    run(job)
    found = rows(job.target)
    assert set(found) == {*ODD, "same.png.png", "deep/folder.png"}  # with the folders that are called like pictures
    whole = [name for name in ODD if name not in UNMASKED]
    others = {name: row["reason"] for name, row in found.items() if name in whole and row["status"] != "removed"}
    assert list(others) == ["same.png"]
    assert "would collide with the folder same.png.png" in others["same.png"]
    assert {found[name]["status"] for name in UNMASKED} == {"nothing found"}
    for name in {*whole} - {*others}:
        np.testing.assert_array_equal(mask_in(job.target, name), mask())
    assert run(job).tried == 0
    before = delivered(job.target)
    assert rows(job.target) == found
    run(job.model_copy(update={"existing": "overwrite"}))
    assert delivered(job.target) == before
