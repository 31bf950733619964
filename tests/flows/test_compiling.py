"""Whether a run compiles its model, by what the job says and how many pictures there are to do."""

from __future__ import annotations

import pytest

from flows.job import Job
from flows.run import compiling


@pytest.mark.parametrize(
    ("settings", "pictures", "gpus", "expected"),
    [
        ({}, 1000, ["cuda:0"], "on"),
        ({}, 999, ["cuda:0"], "auto"),
        ({}, 5000, ["cpu"], "auto"),
        ({}, 5000, ["cuda:0", "cpu"], "auto"),
        ({"compile": "off"}, 5000, ["cuda:0"], "off"),
        ({"attention": "hole"}, 5000, ["cuda:0"], "auto"),
        ({"method": "attentive"}, 5000, ["cuda:0"], "auto"),
    ],
)
def test_a_model_is_compiled_where_a_run_has_pictures_enough_to_repay_it(
    monkeypatch, settings, pictures, gpus, expected
):
    monkeypatch.setattr("flows.run.devices", lambda asked: gpus)
    assert compiling(Job(**settings), pictures).compile == expected


@pytest.mark.parametrize(("given", "meant"), [(True, "on"), (False, "off"), ("auto", "auto"), ("on", "on")])
def test_compile_is_also_true_or_false_as_job_files_had_it(given, meant):
    assert Job(compile=given).compile == meant
