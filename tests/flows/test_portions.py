"""One portion is painted while the masks of the next are found."""

import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from flows.faults import EnvironmentFault
from flows.find_masks import find_masks
from flows.job import run
from flows.ledger.manifest import Manifest
from flows.portions import PORTION
from flows.records import Outcome
from flows.remove_masked import remove_masked
from flows.settings import Job
from tests.flows.test_scale import tiny


@pytest.fixture
def job(tmp_path) -> Job:
    return tiny(tmp_path, 3 * PORTION)


def test_the_masks_of_the_next_portion_are_found_while_one_is_painted(job):
    found = [threading.Event() for _ in range(3)]
    waited = []

    def find(job: Job, names: list[str]) -> list[Outcome]:
        made = find_masks(job, names)
        next(event for event in found if not event.is_set()).set()
        return made

    def remove(job: Job, masked: list[Outcome]) -> Iterable[Outcome]:
        waited.append(found[min(len(waited) + 1, 2)].wait(60))  # for the next portion's masks; in turn they never come
        return remove_masked(job, masked)

    assert run(job, find=find, remove=remove).tried == 3 * PORTION
    assert waited == [True, True, True]


def test_no_more_than_one_portion_is_ahead(job):
    begun = []

    def find(job: Job, names: list[str]) -> list[Outcome]:
        begun.append(names)
        return find_masks(job, names)

    def remove(job: Job, masked: list[Outcome]) -> Iterable[Outcome]:
        assert len(begun) <= 1 + 1 + begun.index([row.source for row in masked])
        return remove_masked(job, masked)

    run(job, find=find, remove=remove)
    assert len(begun) == 3


def test_trouble_with_the_next_portions_masks_costs_this_one_nothing(job):
    second = threading.Event()

    def find(job: Job, names: list[str]) -> list[Outcome]:
        if second.is_set():
            raise EnvironmentFault("the disk is full")
        second.set()
        return find_masks(job, names)

    with pytest.raises(EnvironmentFault, match="full"):
        run(job, find=find)
    assert len(list((Path(job.target) / "images").iterdir())) == PORTION
    with Manifest(Path(job.target)) as manifest:
        manifest.journal.look_back()
        assert manifest.journal.suspects() == {}
    assert run(job).tried == 2 * PORTION
