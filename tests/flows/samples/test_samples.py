"""Sample scenes on disk, and the demo that cleans them."""

import json
import os
import subprocess
import sys
from io import StringIO

import pytest
from rich.console import Console

from flows.samples.scenes import run_demo, write_scenes
from masks import TextPrompt, load_segmenter
from removal.bundled.scenes import scene

TALK = Console(quiet=True)


def test_a_demo_cleans_its_scenes_half_by_text_and_half_by_points(tmp_path, monkeypatch):
    monkeypatch.setattr("os.environ", dict(os.environ))
    jobs = []

    def keep(job):
        jobs.append(job)
        return 0

    assert run_demo(tmp_path / "result", 6, keep, TALK) == 0
    rows = [json.loads(line) for line in (tmp_path / "scenes" / "demo.jsonl").read_text().splitlines()]
    assert ["text" in row for row in rows] == [True, False] * 3
    assert ["points" in row for row in rows] == [False, True] * 3
    assert (jobs[0].model, jobs[0].source) == ("bundled", str(tmp_path / "scenes" / "images"))


def test_a_demo_names_by_text_only_what_the_segmenter_tells_from_everything_else(tmp_path, monkeypatch):
    monkeypatch.setattr("os.environ", dict(os.environ))
    assert run_demo(tmp_path / "result", 12, lambda job: 0, TALK) == 0
    rows = [json.loads(line) for line in (tmp_path / "scenes" / "demo.jsonl").read_text().splitlines()]
    asked = {int(row["file_name"][:4]): row["text"] for row in rows if "text" in row}
    scenes = {number: scene(7_000_000 + number) for number in asked}
    found = load_segmenter("bundled", device="cpu")(
        [scenes[k].image for k in asked], [*map(TextPrompt, asked.values())]
    )
    assert len(asked) == 6
    for one, drawn in zip(found, scenes.values(), strict=True):
        assert (one.mask & drawn.object).sum() >= 0.8 * (one.mask | drawn.object).sum()


def test_a_demo_cleans_the_photos_of_the_package_without_a_model_and_says_where_the_reports_are(tmp_path, monkeypatch):
    monkeypatch.setattr("os.environ", dict(os.environ))
    said = StringIO()
    for _ in range(2):
        assert run_demo(tmp_path / "result", 1, lambda job: 0, Console(file=said, width=500)) == 0
        (tmp_path / "result").mkdir(exist_ok=True)
    rows = [json.loads(line) for line in (tmp_path / "photos" / "metadata.jsonl").read_text().splitlines()]
    assert {(row["status"], row["model"], row["method"]) for row in rows} == {("removed", None, "patchmatch")}
    assert (tmp_path / "photos" / "report.html").exists()
    assert f"{tmp_path}/photos/report.html" in said.getvalue()


@pytest.mark.parametrize("place", ["result", "scenes", "photos"])
def test_a_demo_never_writes_over_anything_but_an_earlier_demo(tmp_path, place):
    (tmp_path / place).mkdir()
    (tmp_path / place / "mine.txt").write_text("precious")
    with pytest.raises(ValueError, match="holds something else"):
        run_demo(tmp_path / "result", 2, lambda job: 0, TALK)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["mine.txt"]


def test_scenes_need_a_count_and_a_seed_that_was_never_trained_on(tmp_path):
    with pytest.raises(ValueError, match="seed 0 to"):
        write_scenes(tmp_path, 1, 1 << 20)
    with pytest.raises(ValueError, match="count is 1 or more"):
        write_scenes(tmp_path, 0, 1)


def test_the_whole_demo_runs_on_prefects_own_temporary_server(tmp_path):
    command = [sys.executable, "-m", "flows", "demo", str(tmp_path / "result"), "--count", "2"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert "Completed: 2 removed" in ended.stderr
    assert len((tmp_path / "result" / "metadata.jsonl").read_text().splitlines()) == 2


def test_a_shorter_series_leaves_nothing_of_a_longer_one(tmp_path):
    write_scenes(tmp_path, 3, 1)
    write_scenes(tmp_path, 1, 1)
    assert [p.name for p in sorted(tmp_path.rglob("*.png"))] == ["0000.png"] * 4


def test_scenes_never_replace_or_remove_somebodys_pictures(tmp_path):
    for place in ("images", "holiday"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "0007.png").write_bytes(b"precious")
    with pytest.raises(ValueError, match="is no scene drawn here"):
        write_scenes(tmp_path, 2, 1)
    (tmp_path / "images" / "0007.png").unlink()
    write_scenes(tmp_path, 2, 1)
    assert (tmp_path / "holiday" / "0007.png").read_bytes() == b"precious"
