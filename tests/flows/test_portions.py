"""Portions side by side: the masks of one are found, one is painted, and one is read and written."""

import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from flows.errors import EnvironmentFault, TooManyFailures
from flows.job import Job
from flows.ledger.manifest import Manifest
from flows.outcome import Outcome
from flows.places.target import Target
from flows.portions import PORTION, Steps
from flows.run import Silent, run
from flows.steps.find_masks import find_masks
from flows.steps.remove_masked import remove_masked
from tests.flows.test_scale import Grey, tiny


class Remover(Grey):
    """Notes what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []
        self.at_work = threading.Semaphore(0)

    def __call__(self, images, masks, seeds):
        self.seen += seeds
        self.at_work.release()
        return super().__call__(images, masks, seeds)


def names(job: Job) -> list[str]:
    return sorted(file.name for file in Path(job.source).iterdir())


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

    assert run(job, steps=Steps(find, remove)).tried == 3 * PORTION
    assert waited == [True, True, True]


def test_no_more_than_two_portions_are_ahead(job):
    begun = []

    def find(job: Job, names: list[str]) -> list[Outcome]:
        begun.append(names)
        return find_masks(job, names)

    def remove(job: Job, masked: list[Outcome]) -> Iterable[Outcome]:
        assert len(begun) <= 1 + 2 + begun.index([row.source for row in masked])
        return remove_masked(job, masked)

    run(job, steps=Steps(find, remove))
    assert len(begun) == 3


def test_the_model_is_at_the_next_portion_while_the_last_of_one_are_written(job, monkeypatch):
    next_one, waited = threading.Event(), []

    class Watched(Remover):
        def __call__(self, images, masks, seeds):
            if len(self.seen) == PORTION:
                next_one.set()
            return super().__call__(images, masks, seeds)

    write = Target.write

    def written(self, relative: str, data: bytes) -> str:
        if relative == f"images/{names(job)[PORTION - 1]}":
            waited.append(next_one.wait(60))  # in turn it never comes
        return write(self, relative, data)

    monkeypatch.setattr("flows.steps.remove_masked.load_remover", lambda *_, **__: remover)
    monkeypatch.setattr(Target, "write", written)
    remover = Watched()
    assert run(job).done == {"removed": 3 * PORTION}
    assert waited == [True]


def test_a_slow_row_keeps_no_model_waiting(job, monkeypatch):
    remover = Remover()
    monkeypatch.setattr("flows.steps.remove_masked.load_remover", lambda *_, **__: remover)
    waited = []

    class Slow(Silent):
        def did(self, outcome: Outcome) -> None:
            if not waited:  # such as a server that does not answer
                waited.append(all(remover.at_work.acquire(timeout=60) for _ in range(3)))

    assert run(job, Slow()).done == {"removed": 3 * PORTION}
    assert waited == [True]


def test_too_many_failures_lose_no_row_of_what_is_finished(job, monkeypatch):
    remover = Remover()
    monkeypatch.setattr("flows.steps.remove_masked.load_remover", lambda *_, **__: remover)
    for name in names(job)[PORTION : PORTION + 3]:
        (Path(job.source) / name).write_bytes(b"no picture")

    def find(job: Job, names: list[str]) -> list[Outcome]:
        return find_masks(job, names) if remover.at_work.acquire(timeout=60) else []

    remover.at_work.release()
    with pytest.raises(TooManyFailures):
        run(job.model_copy(update={"max_failures": 2}), steps=Steps(find))
    with Manifest(Path(job.target)) as manifest:
        finished = {row.file_name for row in manifest.outcomes(None) if row.status == "removed"}
    assert finished == {f"images/{file.name}" for file in (Path(job.target) / "images").iterdir()}
    assert 0 < len(finished) < 3 * PORTION - 3


def test_trouble_with_the_next_portions_masks_loses_nothing_that_was_finished(job, monkeypatch):
    remover = Remover()
    monkeypatch.setattr("flows.steps.remove_masked.load_remover", lambda *_, **__: remover)

    def find(asked: Job, some: list[str]) -> list[Outcome]:
        if names(job)[0] not in some and remover.at_work.acquire(timeout=60):
            raise EnvironmentFault("the disk is full")
        return find_masks(asked, some)

    with pytest.raises(EnvironmentFault, match="full"):
        run(job, steps=Steps(find))
    finished = len(list((Path(job.target) / "images").iterdir()))
    with Manifest(Path(job.target)) as manifest:
        manifest.journal.look_back()
        assert manifest.journal.suspects() == {}
    assert finished
    assert run(job).tried == 3 * PORTION - finished
