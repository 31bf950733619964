"""Portions side by side, as a cluster works on them; here its machines are threads. A real one: test_ray.py."""

import sys
import threading
from pathlib import Path

import pytest

from flows.deploy import ray_cluster as cluster
from flows.errors import EnvironmentFault, TooManyFailures
from flows.job import Job
from flows.ledger.manifest import Manifest
from flows.portions import Steps
from flows.run import run
from flows.steps.find_masks import find_masks
from tests.flows.ledger.test_shards import elsewhere, images, rows
from tests.flows.test_scale import tiny

PICTURES = 150  # five portions


@pytest.fixture
def job(tmp_path) -> Job:
    return tiny(tmp_path, PICTURES)


def test_portions_side_by_side_make_what_they_make_one_after_another(job, tmp_path):
    alone = elsewhere(job, tmp_path / "alone")
    run(alone)
    assert run(job, steps=Steps(elsewhere=3)).done == {"removed": PICTURES}
    assert rows(job.target) == rows(alone.target)
    assert images(job.target) == images(alone.target)


def test_as_many_portions_are_in_work_together_as_are_asked_for(job):
    met: list[bool] = []
    together = threading.Barrier(3, action=lambda: met.append(True))

    def meeting(job: Job, names: list[str]) -> list:
        if not met:
            together.wait(60)  # for two others; alone it would end in an error
        return find_masks(job, names)

    assert run(job, steps=Steps(meeting, elsewhere=3)).tried == PICTURES


def test_a_stop_among_several_portions_makes_none_of_their_pictures_suspect(job):
    for number in range(40):
        (Path(job.source) / f"{number:05}.png").write_bytes(b"no picture")
    with pytest.raises(TooManyFailures):
        run(job.model_copy(update={"max_failures": 5}), steps=Steps(elsewhere=3))
    with Manifest(Path(job.target)) as manifest:
        manifest.journal.look_back()
        assert manifest.journal.suspects() == {}


def test_a_cluster_without_its_extra_is_refused_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setenv(cluster.VARIABLE, "local")
    monkeypatch.setitem(sys.modules, "prefect_ray", None)
    with pytest.raises(EnvironmentFault, match=r"pip install 'cleanplate\[ray\]'"):
        cluster.task_runner()


def test_without_the_variable_there_is_no_cluster(monkeypatch):
    monkeypatch.delenv(cluster.VARIABLE, raising=False)
    assert (cluster.task_runner(), cluster.at_once()) == (None, 0)
