"""The demo: what it asks for, what it cleans, and what it leaves to be looked at."""

import json
import os
import shutil
import subprocess
import sys
from importlib.resources import files
from io import StringIO

import cv2
import numpy as np
import pytest
from rich.console import Console

from flows.formats.drawings import GAP, HEAD
from flows.formats.pictures import decode
from flows.samples.demo import CHOSEN, SHEET, run_demo
from masks import PointPrompt, TextPrompt, dilate, load_segmenter
from removal.bundled.scenes import BACKGROUNDS, COLOURS, SHAPES, scene

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


def test_the_scenes_of_a_demo_show_every_background_shape_and_colour():
    drawn = [scene(number) for number in CHOSEN]
    assert len({one.background for one in drawn}) == len(BACKGROUNDS)
    assert {one.target.shape for one in drawn} == {*SHAPES}
    assert {one.target.colour for one in drawn} == {*COLOURS}
    assert sum(one.textured for one in drawn) >= 6


def test_a_demo_asks_only_for_what_the_segmenter_finds_right(tmp_path, monkeypatch):
    monkeypatch.setattr("os.environ", dict(os.environ))
    assert run_demo(tmp_path / "result", len(CHOSEN), lambda job: 1, TALK) == 1
    rows = [json.loads(line) for line in (tmp_path / "scenes" / "demo.jsonl").read_text().splitlines()]
    drawn = [scene(number) for number in CHOSEN]
    prompts = [TextPrompt(row["text"]) if "text" in row else PointPrompt(row["points"]) for row in rows]
    found = load_segmenter("bundled", device="cpu")([one.image for one in drawn], prompts)
    for row, one, hit in zip(rows, drawn, found, strict=True):
        assert "points" in row or one.told_by_colour, row
        assert (hit.mask & one.object).sum() >= 0.88 * (hit.mask | one.object).sum(), row
        assert not (hit.mask & ~dilate(one.mask, 4)).any(), row


def test_a_demo_draws_a_sheet_of_the_photos_and_then_scenes_before_and_after(tmp_path, monkeypatch):
    monkeypatch.setattr("os.environ", dict(os.environ))

    def keep(job):
        shutil.copytree(job.source, tmp_path / "result" / "images")
        return 0

    assert run_demo(tmp_path / "result", 3, keep, TALK) == 0
    sheet = decode((tmp_path / SHEET).read_bytes()).image
    photo = decode(files("flows.samples").joinpath("photos/rocket.jpg").read_bytes()).image
    first = sheet[HEAD : HEAD + photo.shape[0], : photo.shape[1]]
    assert np.abs(first.astype(int) - photo).mean() < 3
    last = scene(CHOSEN[2]).image  # alone in its row, five times as large
    shown = cv2.resize(sheet[-GAP - 640 : -GAP, :640], (128, 128), interpolation=cv2.INTER_AREA)
    assert np.abs(shown.astype(int) - last).mean() < 5


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


def test_the_whole_demo_runs_on_prefects_own_temporary_server(tmp_path):
    command = [sys.executable, "-m", "flows", "demo", str(tmp_path / "result"), "--count", "2"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert "Completed: 2 removed" in ended.stderr
    assert f"look at {tmp_path}/{SHEET}" in ended.stderr.replace("\n", "")
    assert (tmp_path / SHEET).exists()
    assert len((tmp_path / "result" / "metadata.jsonl").read_text().splitlines()) == 2
