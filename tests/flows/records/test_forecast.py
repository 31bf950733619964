"""What a run would take, before it runs."""

import json
import shutil
from collections import namedtuple

import pytest

from flows.job import Job
from flows.records.forecast import MASK, Forecast, forecast
from flows.run import Silent, look, run
from flows.samples.scenes import write_scenes


@pytest.fixture
def job(tmp_path):
    write_scenes(tmp_path / "scenes", count=4, seed=3)
    return Job(
        source=str(tmp_path / "scenes" / "images"), target=str(tmp_path / "out"),
        masks=str(tmp_path / "scenes" / "masks"), model="bundled", method="telea",
    )  # fmt: skip


class Heard(Silent):
    def __init__(self):
        self.said = []

    def say(self, message):
        self.said.append(message)


def test_time_is_unknown_before_the_first_batch_and_then_that_of_earlier_pictures(job, tmp_path):
    assert look(job, Silent()).takes.seconds is None
    run(job.model_copy(update={"limit": 3}))
    rows = [json.loads(line) for line in (tmp_path / "out" / "metadata.jsonl").read_text().splitlines()]
    takes = look(job, Silent()).takes
    assert takes.pictures == 1
    assert takes.seconds == pytest.approx(sum(row["seconds"] for row in rows) / 3)


def test_room_is_that_of_the_sources_again_and_of_a_mask_each(job, tmp_path):
    sizes = [file.stat().st_size for file in (tmp_path / "scenes" / "images").iterdir()]
    takes = look(job, Silent()).takes
    assert takes.size == sum(sizes) + 4 * MASK
    assert takes.free == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
    assert look(job.model_copy(update={"concat": True}), Silent()).takes.size == 3 * sum(sizes) + 4 * MASK
    run(job)
    taken = sum(file.stat().st_size for room in ("images", "masks") for file in (tmp_path / "out" / room).iterdir())
    assert taken < takes.size


def test_it_is_said_in_one_line_and_a_full_disk_with_it(job, monkeypatch):
    heard = Heard()
    look(job, heard)
    assert heard.said[-1].startswith("how long is unknown until the first batch; about ")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(5))
    look(job, heard)
    assert heard.said[-1].endswith("of which 5 bytes are free; make room first")
    assert str(Forecast(100, 7200.0, 10, 20)).startswith(
        "about 2:00:00 (h:mm:ss), at 72 s a picture so far; about 10 b"
    )


def test_nothing_to_do_takes_nothing(job):
    run(job)
    heard = Heard()
    assert look(job, heard).takes.size == 0
    assert heard.said[-1] == "4 pictures: 0 to do, 4 finished already"


def test_a_picture_that_went_away_meanwhile_takes_nothing(job, tmp_path):
    from flows.places.folders import open_folders

    assert forecast(job, open_folders(job.source, job.target), ["gone.png"], 2.0).size == MASK
