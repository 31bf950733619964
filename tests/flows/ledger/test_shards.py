"""Shards: a folder's pictures dealt out to several runs, and their records joined."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from flows.errors import UsageError
from flows.job import Job
from flows.ledger.lock import Busy
from flows.ledger.manifest import Manifest
from flows.ledger.shards import Shard, holder, parse_shard
from flows.ledger.target_settings import OtherSettings
from flows.merge import merge
from flows.places.layout import files_of
from flows.records.card import standing
from flows.review.decisions import apply
from flows.run import run
from tests.flows.test_scale import tiny

PICTURES = 40
RECORDS = ("metadata.jsonl", "failures.jsonl", "README.md", "job.toml", "report.html")


def shard(job: Job, index: int, count: int = 3, **others) -> Job:
    return job.model_copy(update={"shard": f"{index}/{count}", **others})


def elsewhere(job: Job, target: Path) -> Job:
    return job.model_copy(update={"target": str(target)})


def rows(target: str) -> list[dict]:
    """The rows of a target but for what a clock says."""
    lines = Path(target, "metadata.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def images(target: str) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in Path(target, "images").iterdir()}


@pytest.fixture
def job(tmp_path) -> Job:
    return tiny(tmp_path, PICTURES)


def test_every_name_is_of_one_shard_and_shards_are_about_equal():
    names = [f"{number:05}.jpg" for number in range(10_000)]
    held = Counter(holder(name, 8) for name in names)
    assert set(held) == {Shard(8, index) for index in range(1, 9)}
    assert max(held.values()) < 1.15 * min(held.values())
    assert all(sum(Shard(8, index).holds(name) for index in range(1, 9)) == 1 for name in names[:100])


def test_a_picture_keeps_its_shard_on_every_machine_and_whatever_lies_beside_it():
    assert [holder(name, 4).index for name in ("a.jpg", "b/c.png", "ü.jpg", "\udcff.jpg")] == [3, 4, 4, 1]


@pytest.mark.parametrize("wrong", ["0/4", "5/4", "1", "1/", "/2", "a/b", "1/2/3", "-1/2", "1.0/2"])
def test_what_names_no_shard_is_refused(wrong):
    with pytest.raises(ValueError, match="a shard is i/n with i from 1 to n"):
        parse_shard(wrong)
    with pytest.raises(ValueError, match="a shard is i/n"):
        Job(shard=wrong)


def test_merged_shards_are_what_one_run_makes_of_the_folder(job, tmp_path):
    alone = elsewhere(job, tmp_path / "alone")
    run(alone)
    for index in (3, 1, 2):
        run(shard(job, index))
    said: list[str] = []
    merged = merge(Path(job.target), said.append)
    assert (merged.counts, merged.missing, merged.exit_code, said) == ({"removed": PICTURES}, {}, 0, [])
    assert rows(job.target) == rows(alone.target)
    assert images(job.target) == images(alone.target)
    assert {file.name for file in Path(job.target).iterdir()} == {file.name for file in Path(alone.target).iterdir()}
    assert run(job).tried == 0


def test_merging_gives_the_same_bytes_whatever_the_order_of_the_shards(job, tmp_path):
    """The very rows of three shards, as if they had ended in another order."""
    for index in (1, 2, 3):
        run(shard(job, index))
    merged = []
    for order in ((1, 2, 3), (3, 1, 2)):
        target = tmp_path / "merged" / "out"
        shutil.copytree(job.target, target, ignore=lambda folder, names: names if folder.endswith("shards") else [])
        for index in order:
            records = Shard(3, index).records
            shutil.copytree(Path(job.target, records), target / records)
        merge(target)
        merged.append({name: (target / name).read_bytes() for name in RECORDS})
        shutil.rmtree(target)
    assert merged[0] == merged[1]


def test_a_shard_writes_no_record_of_the_whole_folder(job):
    done = run(shard(job, 1))
    assert 0 < done.tried < PICTURES
    assert not [name for name in RECORDS if Path(job.target, name).exists()]
    assert len(Path(job.target, Shard(3, 1).records, "metadata.jsonl").read_text().splitlines()) == done.tried


def test_what_a_target_says_of_itself_before_its_shards_are_merged_is_the_command_that_merges_them(job):
    run(shard(job, 1))
    for ask in (standing, lambda target: apply(target, [])):
        with pytest.raises(UsageError, match="cleanplate merge"):
            ask(Path(job.target))


def test_a_lost_shard_is_named_run_again_alone_and_merged_again(job):
    counts = {index: run(shard(job, index)).tried for index in (1, 2)}
    run(shard(job, 3, limit=2))
    merged = merge(Path(job.target))
    lost = PICTURES - sum(counts.values()) - 2
    assert (merged.missing, merged.exit_code) == ({"3/3": lost}, 1)
    assert run(shard(job, 3)).tried == lost
    assert merge(Path(job.target)).missing == {}
    assert run(job).tried == 0


def test_a_shard_that_never_ran_is_named(job):
    run(shard(job, 1))
    assert set(merge(Path(job.target)).missing) == {"2/3", "3/3"}


def test_a_picture_that_is_added_later_is_all_that_its_shard_does(job):
    for index in (1, 2, 3):
        run(shard(job, index))
    merge(Path(job.target))
    shutil.copy(Path(job.source, "00000.png"), Path(job.source, "00000b.png"))
    assert sum(run(shard(job, index)).tried for index in (1, 2, 3)) == 1
    assert merge(Path(job.target)).counts == {"removed": PICTURES + 1}


def test_what_a_merge_left_half_done_is_merged_by_the_next(job, monkeypatch):
    for index in (1, 2, 3):
        run(shard(job, index))
    with monkeypatch.context() as failing:
        failing.setattr("flows.merge.conclude", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            merge(Path(job.target))
    with pytest.raises(UsageError, match="not merged"):
        run(job)
    Path(job.target, Shard(3, 2).records, "manifest.sqlite").unlink()  # as if it had begun to clear up
    assert merge(Path(job.target)).counts == {"removed": PICTURES}


def test_a_plain_run_is_refused_until_shards_are_merged(job):
    run(shard(job, 1))
    with pytest.raises(UsageError, match="cleanplate merge"):
        run(job)


def test_another_number_of_shards_is_refused_until_these_are_merged(job):
    run(shard(job, 1))
    with pytest.raises(UsageError, match="to 3 shards, not 4"):
        run(shard(job, 1, count=4))


def test_a_shard_with_other_settings_is_refused(job):
    run(shard(job, 1))
    with pytest.raises(UsageError, match=r"other settings \(--dilate\)"):
        run(shard(job, 2, dilate=1))
    for index in (2, 3):
        run(shard(job, index))
    merge(Path(job.target))
    with pytest.raises(OtherSettings, match="dilate"):
        run(shard(job, 2, dilate=1))


def test_a_target_without_shards_has_nothing_to_merge(job):
    run(job)
    with pytest.raises(UsageError, match="no shards to merge"):
        merge(Path(job.target))


@pytest.mark.parametrize(
    ("held", "refused"),
    [("1/3", "1/3"), ("1/3", ""), ("", "1/3")],
    ids=["same", "plain while shard", "shard while plain"],
)
def test_two_runs_on_the_same_pictures_are_refused(job, held, refused):
    with Manifest(Path(job.target), shard=parse_shard(held)), pytest.raises(Busy):
        run(job.model_copy(update={"shard": refused}))


def test_two_shards_run_at_once(job):
    with Manifest(Path(job.target), shard=parse_shard("1/3")):
        assert run(shard(job, 2)).tried


def test_merging_waits_for_no_shard_and_disturbs_none(job):
    run(shard(job, 1))
    with Manifest(Path(job.target), shard=parse_shard("1/3")), pytest.raises(Busy):
        merge(Path(job.target))
    assert Path(job.target, Shard(3, 1).records).exists()


def test_a_shard_leaves_alone_what_another_has_in_work(job):
    """Half-written files and masks that wait for their rows; which are its own, it knows by their names."""
    half = Path(job.target, "images", ".cleanplate-abcdefgh.part")
    half.parent.mkdir(parents=True)
    other = next(name for name in os.listdir(job.source) if Shard(3, 2).holds(name))
    pending = Path(job.target, files_of(other).pending_mask)
    pending.parent.mkdir(parents=True)
    for file in (half, pending):
        file.write_bytes(b"in work")
    run(shard(job, 1))
    assert half.exists()
    assert pending.exists()


def test_the_command_line_names_the_missing_shard_and_the_command_that_does_it(job, tmp_path):
    command = [sys.executable, "-m", "flows"]
    flags = ["--masks", job.masks, "--model", "bundled", "--method", "telea", "--no-verify", "-q", "--no-flow"]
    subprocess.run([*command, "run", job.source, job.target, "--shard", "2/2", *flags], check=True)
    said = subprocess.run([*command, "merge", job.target], capture_output=True, text=True)
    assert said.returncode == 1
    assert "shard 1/2 did not finish: " in said.stdout
    step = next(line.removeprefix("next: cleanplate ") for line in said.stdout.splitlines() if "--shard 1/2" in line)
    subprocess.run([*command, *step.split(), "-q", "--no-flow"], check=True)
    again = subprocess.run([*command, "merge", job.target, "--json"], capture_output=True, text=True)
    assert (again.returncode, json.loads(again.stdout)["counts"]) == (0, {"removed": PICTURES})
