"""What somebody moves or removes in a target while a run goes on costs at most the pictures it concerns."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.errors import EnvironmentFault
from flows.job import Job
from flows.ledger import due
from flows.page import report
from flows.portions import Steps
from flows.run import run
from flows.steps.remove_masked import remove_masked
from tests.flows.small import Following, delivered, rows, small

Act = Callable[[Path], object]


def painting_and(act: Act, out: Path) -> Callable[[Job, list], Iterator]:
    """The second step; after its first picture is published, somebody acts."""

    def remove(job: Job, masked: list) -> Iterator:
        for number, outcome in enumerate(remove_masked(job, masked)):
            if number == 0:
                act(out)
            yield outcome

    return remove


@pytest.mark.parametrize("place", ["images", "images/p00.png"])
def test_results_that_are_taken_away_fail_with_words_and_are_done_again(tmp_path, place):
    job = small(tmp_path, max_failures="100%")
    summary = run(
        job, steps=Steps(remove=painting_and(lambda out: (out / place).rename(tmp_path / "moved"), tmp_path / "out"))
    )
    assert summary.exit_code == 1
    failed = {name: row["reason"] for name, row in rows(job.target).items() if row["status"] == "failed"}
    assert "p00.png" in failed
    assert all(reason.endswith("while the run went on; the next run does it again") for reason in failed.values())
    assert run(job).exit_code == 0
    assert len(delivered(job.target)) == 8


@pytest.mark.parametrize("place", ["masks", ".cleanplate/report", ".cleanplate/pending", "strips"])
def test_whatever_else_is_taken_away_is_there_again_after_the_next_run(tmp_path, place):
    job = small(tmp_path, concat=True)
    for _ in range(2):
        with contextlib.suppress(EnvironmentFault):
            run(
                job.model_copy(update={"existing": "overwrite"}),
                steps=Steps(
                    remove=painting_and(lambda out: shutil.rmtree(out / place, ignore_errors=True), tmp_path / "out")
                ),
            )
    run(job)
    assert {row["status"] for row in rows(job.target).values()} == {"removed"}
    assert len(delivered(job.target)) == 8
    report.rewrite(tmp_path / "out")


@pytest.mark.parametrize("what", ["out", "out/.cleanplate", "out/.cleanplate/lock"])
@pytest.mark.parametrize("how", ["moved", "removed"])
def test_a_target_that_is_taken_away_ends_the_run_and_the_same_command_goes_on(tmp_path, what, how):
    def act(out: Path) -> None:
        (tmp_path / what).rename(tmp_path / "moved")
        if how == "removed" and (tmp_path / "moved").is_dir():
            shutil.rmtree(tmp_path / "moved")

    job = small(tmp_path)
    with pytest.raises(EnvironmentFault, match=r"out was moved or removed while the run went on.*same command again"):
        run(job, steps=Steps(remove=painting_and(act, tmp_path / "out")))
    assert not (tmp_path / "out/metadata.jsonl").exists()
    assert run(job).exit_code == 0
    assert {row["status"] for row in rows(job.target).values()} == {"removed"}
    assert len(delivered(job.target)) == 8


def test_masks_made_by_hand_that_are_taken_away_are_found_again(tmp_path):
    job = small(tmp_path)
    run(job, masks_only=True)
    shutil.copy(tmp_path / "out/masks/p01.png.png", tmp_path / "out/masks/p00.png.png")
    (tmp_path / "out/masks/p00.png.png").write_bytes((tmp_path / "out/masks/p00.png.png").read_bytes() + b" ")
    gone = lambda job, masked: ((tmp_path / "out/masks/p00.png.png").unlink(), remove_masked(job, masked))[1]  # noqa: E731
    run(job, steps=Steps(remove=gone))
    assert rows(job.target)["p00.png"]["status"] == "failed"
    assert run(job).done == {"removed": 1}


def test_what_is_taken_away_while_it_is_found_out_what_is_due_is_due(tmp_path, monkeypatch):
    job = small(tmp_path)
    run(job)
    there = due.Target.has

    def has_until_now(folder, relative):
        found = there(folder, relative)
        if relative == "masks/p02.png.png":
            (tmp_path / "out" / relative).unlink(missing_ok=True)
        return found

    monkeypatch.setattr(due.Target, "has", has_until_now)
    assert run(job).done == {"removed": 1}


@pytest.mark.parametrize("shard", ["", "1/1"])
def test_a_run_that_cannot_load_its_models_leaves_the_job_of_the_target(tmp_path, shard):
    job = small(tmp_path, shard=shard)
    (tmp_path / "in/link.png").symlink_to("p00.png")
    run(job)
    place = tmp_path / "out/.cleanplate/shards/1-of-1" if shard else tmp_path / "out"
    before = (place / "job.toml").read_bytes(), rows(place)

    def no_weights(job: Job, masked: list) -> Iterator:
        raise EnvironmentFault("the models cannot be loaded")

    other = job.model_copy(update={"existing": "overwrite", "context": 3.0})
    (tmp_path / "in/link2.png").symlink_to("p00.png")
    for _ in range(2):
        with pytest.raises(EnvironmentFault, match="models cannot be loaded"):
            run(other, steps=Steps(remove=no_weights))
    assert (place / "job.toml").read_bytes() == before[0]
    assert {name: row for name, row in rows(place).items() if name != "link2.png"} == before[1]
    assert run(job, following := Following()).tried == 0  # it is the target's job still
    assert following.done == []
    assert run(other).done == {"removed": 4}
    assert (place / "job.toml").read_bytes() != before[0]
