"""The job over folders in object stores, against a real S3 server: the same result, records and promises as on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows import run as job
from flows.errors import EnvironmentFault
from flows.job import Job
from flows.ledger import mirror
from flows.ledger.lease import Lease
from flows.ledger.lock import Busy
from flows.ledger.target_settings import OtherSettings
from flows.places.bucket import Bucket
from flows.places.folders import open_folders
from flows.places.target import Target, ledger_place
from flows.records.card import standing
from tests.flows.small import Following, put, small

OWN = ("job.toml", "README.md", "report.html")  # they tell of the places themselves
SAYS_WHEN = ("seconds",)


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    monkeypatch.setenv("CLEANPLATE_CACHE", str(tmp_path / "caches"))


def upload(place: Path, url: str) -> str:
    bucket = Bucket(url)
    for file in sorted(place.rglob("*")):
        if file.is_file():
            bucket.write(file.relative_to(place).as_posix(), file.read_bytes())
    return url


def published(url: str) -> dict[str, bytes]:
    bucket = Bucket(url)
    return {name: bucket.read(name) for name in bucket.find() if not name.startswith(".cleanplate/")}


def on_disk(target: str) -> dict[str, bytes]:
    files = [file for file in Path(target).rglob("*") if file.is_file()]
    named = {file.relative_to(target).as_posix(): file.read_bytes() for file in files}
    return {name: data for name, data in named.items() if not name.startswith(".cleanplate/")}


def rows(data: bytes) -> list[dict]:
    return [{k: v for k, v in json.loads(line).items() if k not in SAYS_WHEN} for line in data.splitlines()]


def without_own(files: dict[str, bytes]) -> dict[str, object]:
    kept = {name: data for name, data in files.items() if name not in OWN}
    return {name: rows(data) if name.endswith(".jsonl") else data for name, data in kept.items()}


@pytest.fixture
def place(tmp_path) -> Path:
    put(tmp_path, "deep/er.png", 7)
    return tmp_path


@pytest.fixture(params=["s3", "memory"])
def far(request, place, s3_bucket) -> Job:
    """A job from a store into it."""
    near = small(place)
    root = s3_bucket if request.param == "s3" else f"memory://{place.name}"
    return near.model_copy(update={"source": upload(place / "in", f"{root}/in"), "target": f"{root}/out"})


def test_a_folder_in_a_store_gives_the_same_folder_as_one_on_disk(place, far):
    near = small(place, concat=True)
    job.run(near)
    summary = job.run(far.model_copy(update={"concat": True}))
    assert summary.counts == {"removed": 5}
    assert without_own(published(far.target)) == without_own(on_disk(near.target))
    assert set(published(far.target)) == set(on_disk(near.target))


ODD = ("deep//er.png", "/p00.png", "deep/./p00.png", "deep/../p01.png", "//p02.png")


@pytest.mark.parametrize("stored", ["source", "both"])
def test_keys_that_no_folder_can_hold_have_a_row_each_and_touch_no_other_picture(place, far, stored):
    target = str(place / "here") if stored == "source" else far.target
    job_here = far.model_copy(update={"target": target})
    source = Bucket(far.source)
    job.run(job_here)
    before = on_disk(target) if stored == "source" else published(target)
    for key in ODD:
        source.fs.pipe_file(f"{source.root}/{key}", (place / "in" / "p03.png").read_bytes())
    kept = {key for key in ODD if key in source.find()}  # memory itself makes one of some
    summary = job.run(job_here)
    assert summary.counts == {"removed": 5, "skipped": len(kept)}
    after = on_disk(target) if stored == "source" else published(target)
    assert {row["source"] for row in rows(after["failures.jsonl"])} == kept
    assert all("another key" in row["reason"] for row in rows(after["failures.jsonl"]))
    painted = [name for name in before if name.startswith(("images/", "masks/"))]
    assert {name: after.get(name) for name in painted} == {name: before[name] for name in painted}
    for key in kept:
        source.fs.rm_file(f"{source.root}/{key}")
    again = job.run(job_here.model_copy(update={"prune": True}))
    assert again.counts == {"removed": 5}
    after = on_disk(target) if stored == "source" else published(target)
    assert {name: after.get(name) for name in painted} == {name: before[name] for name in painted}


def test_a_key_that_no_folder_can_hold_is_no_source_of_its_own(place, far, s3_bucket):
    bucket = Bucket(s3_bucket)
    bucket.fs.pipe_file(f"{bucket.root}/photos//x.png", (place / "in" / "p03.png").read_bytes())
    with pytest.raises(ValueError, match="another key"):
        open_folders(f"{s3_bucket}/photos//x.png", far.target)


@pytest.mark.parametrize("stored", ["source", "target"])
def test_one_of_the_two_may_be_on_disk(place, far, stored):
    near = small(place)
    job.run(near.model_copy(update={stored: getattr(far, stored), "target": far.target if stored == "target" else
                                    str(place / "other")}))  # fmt: skip
    if stored == "target":
        assert len([name for name in published(far.target) if name.startswith("images/")]) == 5
    else:
        assert len(list((place / "other" / "images").rglob("*.png"))) == 5


def test_one_picture_in_a_store_is_a_source_too(place, far):
    job.run(far.model_copy(update={"source": f"{far.source}/deep/er.png", "masks": str(place / "masks" / "deep")}))
    assert [name for name in published(far.target) if name.startswith("images/")] == ["images/er.png"]


def test_a_second_run_does_only_what_is_new(place, far):
    job.run(far)
    put(place, "new.png", 9)
    upload(place / "in", far.source)
    again = Following()
    job.run(far, again)
    assert again.done == ["new.png"]
    assert len(rows(published(far.target)["metadata.jsonl"])) == 6


def test_a_finished_folder_is_known_by_a_handful_of_requests(place, s3, s3_bucket):
    for number in range(30):
        put(place, f"more/{number}.png", number)
    far = small(place).model_copy(
        update={"source": upload(place / "in", f"{s3_bucket}/in"), "target": f"{s3_bucket}/out"}
    )
    job.run(far)
    s3.asked.clear()
    assert job.run(far).tried == 0
    assert not [path for _, path in s3.asked if ".png" in path]
    assert len(s3.asked) < 35


def test_another_machine_goes_on_where_the_first_one_stopped(place, far, monkeypatch):
    job.run(far.model_copy(update={"limit": 2}))
    monkeypatch.setenv("CLEANPLATE_CACHE", str(place / "another machine"))
    rest = Following()
    assert job.run(far, rest).counts == {"removed": 5}
    assert len(rest.done) == 3


def test_a_picture_that_changed_in_the_store_is_done_again(place, far):
    job.run(far)
    other = put_other(place)
    Bucket(far.source).write("p01.png", other)
    again = Following()
    job.run(far, again)
    assert again.done == ["p01.png"]


def put_other(place: Path) -> bytes:
    put(place, "other/one.png", 50)
    return (place / "in" / "other" / "one.png").read_bytes()


def test_a_mask_corrected_in_the_store_is_used(place, far):
    job.run(far)
    corrected = (place / "masks" / "p00.png.png").read_bytes()
    from flows.formats.mask_files import encode_mask
    from tests.flows.small import mask

    Bucket(far.target).write("masks/p01.png.png", encode_mask(mask(2, 2, 5, 5)))
    again = Following()
    job.run(far, again)
    assert again.done == ["p01.png"]
    assert again.rows[0].segmenter == "by hand"
    assert published(far.target)["masks/p00.png.png"] == corrected


def test_other_settings_are_refused_there_too(far):
    job.run(far)
    with pytest.raises(OtherSettings, match="dilate"):
        job.run(far.model_copy(update={"dilate": 5}))


def test_a_target_that_another_run_holds_is_left_alone(far):
    lease = Lease(Bucket(far.target), mirror.LOCK)
    with pytest.raises(Busy):
        job.run(far)
    lease.release()
    assert not published(far.target)
    assert job.run(far).counts == {"removed": 5}
    assert not Bucket(far.target).has(mirror.LOCK)


def test_a_look_writes_nothing_to_the_store(far):
    job.run(far.model_copy(update={"limit": 2}))
    before = Bucket(far.target).find()
    assert job.look(far, Following()).counts == {"to do": 3, "finished": 2}
    assert Bucket(far.target).find() == before


def test_how_a_target_in_a_store_stands_is_read_from_its_records(far):
    job.run(far)
    assert standing(far.target).counts == {"removed": 5}


def test_source_and_target_in_a_store_lie_apart(far):
    with pytest.raises(ValueError, match="overlap"):
        open_folders(far.source, f"{far.source}/out")


def test_an_empty_place_in_a_store_is_no_source(far):
    with pytest.raises(ValueError, match="nothing below it"):
        open_folders(f"{far.source}/nowhere", far.target)


def test_what_works_on_folders_of_this_machine_alone_says_so(far):
    with pytest.raises(ValueError, match="copy it to a folder of this machine"):
        Target(far.target).path("images/a.png")


def test_a_store_that_stops_answering_ends_the_run_without_blaming_a_picture(place, s3, s3_bucket, monkeypatch):
    far = small(place).model_copy(
        update={"source": upload(place / "in", f"{s3_bucket}/in"), "target": f"{s3_bucket}/out"}
    )
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)

    class Failing(Following):
        def did(self, outcome):
            super().did(outcome)
            s3.failing = 10_000

    with pytest.raises(EnvironmentFault, match="run the same command"):
        job.run(far, Failing())
    s3.failing = 0
    rest = Following()
    assert job.run(far, rest).counts == {"removed": 5}
    assert "failed" not in {row.status for row in rest.rows}


def test_slow_answers_change_nothing(place, s3, s3_bucket):
    far = small(place).model_copy(
        update={"source": upload(place / "in", f"{s3_bucket}/in"), "target": f"{s3_bucket}/out"}
    )
    s3.slow = 0.05
    assert job.run(far).counts == {"removed": 5}


def test_a_run_killed_in_the_middle_loses_nothing_and_leaves_its_lease_to_the_next(place, s3, s3_bucket):
    far = small(place).model_copy(
        update={"source": upload(place / "in", f"{s3_bucket}/in"), "target": f"{s3_bucket}/out"}
    )
    program = (
        "import os, signal, sys\n"
        "from flows import run as job\nfrom flows.job import Job\n"
        "class Dying(job.Silent):\n"
        "    def did(self, outcome): os.kill(os.getpid(), signal.SIGKILL)\n"
        "job.run(Job.model_validate_json(sys.argv[1]), Dying())\n"
    )
    died = subprocess.run([sys.executable, "-c", program, far.model_dump_json()], env=dict(os.environ), timeout=120)
    assert died.returncode == -9
    assert Bucket(far.target).has(mirror.LOCK)
    near = small(place)
    job.run(near)
    assert job.run(far).counts == {"removed": 5}
    assert without_own(published(far.target)) == without_own(on_disk(near.target))


def test_what_a_lost_machine_copied_before_is_not_done_again(place, far, monkeypatch):
    """Copies go to the store while the run goes on: one taken after the second picture is what the next machine has."""

    class Copying(Following):
        def did(self, outcome):
            super().did(outcome)
            if len(self.done) == 2:
                mirror._take_back(Bucket(far.target), ledger_place(far.target))
            if len(self.done) == 3:
                raise EnvironmentFault("the machine is lost")

    monkeypatch.setattr(mirror, "_copying", mirror.contextmanager(lambda *_: (yield)))
    with pytest.raises(EnvironmentFault, match="lost"):
        job.run(far, Copying())
    monkeypatch.setenv("CLEANPLATE_CACHE", str(place / "another machine"))
    rest = Following()
    assert job.run(far, rest).counts == {"removed": 5}
    assert len(rest.done) == 3


def test_the_command_line_takes_addresses(place, s3, s3_bucket):
    near = small(place)
    source = upload(place / "in", f"{s3_bucket}/in")
    given = [source, f"{s3_bucket}/out", "--masks", near.masks, "--model", "bundled", "--method", "telea", "--no-flow"]
    ran = subprocess.run(
        [sys.executable, "-m", "flows", "run", *given, "--no-verify", "--json"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ran.returncode, json.loads(ran.stdout)["counts"]) == (0, {"removed": 5}), ran.stderr
    assert "secret" not in ran.stderr + published(f"{s3_bucket}/out")["job.toml"].decode()
