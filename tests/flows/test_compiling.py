"""Whether a run compiles its model, by what the job says and how many pictures there are to do."""

from __future__ import annotations

import pytest

from flows.job import Job
from flows.run import compiling
from removal.weights import devices as weights


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
        ({"offload": "on"}, 5000, ["cuda:0"], "auto"),
    ],
)
def test_a_model_is_compiled_where_a_run_has_pictures_enough_to_repay_it(
    monkeypatch, settings, pictures, gpus, expected
):
    monkeypatch.setattr("flows.run.devices", lambda asked: gpus)
    monkeypatch.setattr(weights, "memory_of", lambda device: 80e9)
    assert compiling(Job(**settings), pictures).compile == expected


def test_a_model_whose_weights_leave_a_small_device_is_not_compiled_by_itself(monkeypatch):
    monkeypatch.setattr("flows.run.devices", lambda asked: ["cuda:0"])
    monkeypatch.setattr(weights, "memory_of", lambda device: 8e9)
    assert compiling(Job(), 5000).compile == "auto"
    assert compiling(Job(offload="off"), 5000).compile == "on"


@pytest.mark.parametrize(("given", "meant"), [(True, "on"), (False, "off"), ("auto", "auto"), ("on", "on")])
def test_compile_and_offload_are_also_true_or_false_in_job_files(given, meant):
    assert Job(compile=given).compile == meant
    assert Job(offload=given).offload == meant


def test_what_compiling_and_offloading_change_is_no_pixel_so_that_nothing_is_due_again():
    assert Job(compile="on", offload="on").settings == Job().settings
    assert Job(offload="on").remover_options["offload"] == "on"
