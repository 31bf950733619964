"""On a terminal, and on a pipe: the bar, plain lines, Ctrl-C from a keyboard, folding and colours."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from flows.cli import progress
from flows.outcome import Outcome
from flows.samples.scenes import write_scenes
from removal import PRESETS
from tests.flows.small import small
from tests.flows.terminal import OnTerminal


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "scenes"
    write_scenes(folder, count=48, seed=12)
    return folder


def by_mask(scenes: Path, target: Path, method: str = "telea") -> tuple:
    masks = ("--masks", scenes / "masks", "--model", "bundled", "--method", method, "--no-flow")
    return ("run", scenes / "images", target, *masks)


def test_a_run_shows_one_bar_and_below_it_how_the_target_stands(scenes, tmp_path):
    shown = OnTerminal(*by_mask(scenes, tmp_path / "out"))
    assert shown.ended() == 0
    assert shown.lines[0] == "removing by telea, without a model, masks as given, on cpu"
    assert re.search(r"━+ 48/48 in \d:\d\d:\d\d, [\d.]+ a (second|minute): 48 removed", shown.lines[1])
    out = tmp_path / "out"
    below = "".join(shown.lines[2:]).replace(" ", "")  # a long path is broken where the terminal ends
    assert below.startswith(f"report:{out}/report.html{out}:48removed")
    assert sum("━" in line for line in shown.lines) == 1


def test_the_bar_goes_on_while_pictures_are_done(scenes, tmp_path):
    shown = OnTerminal(*by_mask(scenes, tmp_path / "out"))
    assert shown.until(r" [1-9]\d?/48 .*removed")
    assert shown.ended() == 0


def test_of_many_counts_the_line_beside_the_bar_keeps_within_80_columns_those_that_tell_of_trouble(monkeypatch):
    monkeypatch.setattr(progress, "TALK", Console(width=80))
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: 0.0))
    terminal = progress.Terminal()
    terminal.total, terminal.doubtful, terminal.began = 12000, 123, -3.0 * 8321
    terminal.counts.update({"removed": 8000, "nothing found": 300, "failed": 17, "skipped": 4})
    line = terminal._line(8321)
    assert re.fullmatch(r"8321/12000 \d+:\d\d:\d\d left, 20.0 a minute: 17 failed, 8000 rem…", line)
    assert len(line) + progress.BAR + 4 == 80


def test_a_command_to_type_next_is_broken_by_the_terminal_alone_so_that_it_can_be_copied(tmp_path):
    long = tmp_path / ("a-long-name-" * 8)
    small(long, pictures=1)
    words = ["--masks", long / "masks", "--model", "bundled", "--method", "telea"]
    shown = OnTerminal("masks", long / "in", long / "out", *words)
    assert shown.ended() == 0
    step = f"next: cleanplate run {long}/in {long}/out --job {long}/out/job.toml --model bundled"
    assert step in shown.seen.decode().splitlines()


def test_quiet_shows_no_bar_and_verbose_names_every_picture(scenes, tmp_path):
    shown = OnTerminal(*by_mask(scenes, tmp_path / "a"), "-q")
    assert shown.ended() == 0
    assert shown.lines == []
    shown = OnTerminal(*by_mask(scenes, tmp_path / "b"), "-v")
    assert shown.ended() == 0
    for number in range(48):
        assert f"removed: {number:04}.png".encode() in shown.seen


@pytest.mark.slow
def test_ctrl_c_on_the_keyboard_finishes_the_batch(scenes, tmp_path):
    """With a model that takes its time, as a person has it."""
    shown = OnTerminal(*by_mask(scenes, tmp_path / "out", "inpainting"), "--batch-size", "4")
    assert shown.until(r" [1-9]\d?/48 ")
    shown.press(b"\x03")
    assert shown.ended() == 130
    assert "finishing the batch; again to stop at once" in shown.lines
    assert shown.lines[-1] == "interrupted; the same command goes on from here"
    rows = (tmp_path / "out" / "metadata.jsonl").read_text().splitlines()
    assert 8 <= len(rows) < 48


def test_on_a_pipe_there_is_a_plain_line_every_ten_seconds_with_the_time_left(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with progress.Terminal() as terminal:
        terminal.begin(9, 0)
        for number in range(9):
            now[0] += 4  # seconds a picture takes
            terminal.did(Outcome(f"{number}.png", "removed"))
    assert capsys.readouterr().err.splitlines() == [
        "3 of 9: 3 removed; about 0:00:24 left, 15.0 a minute",
        "6 of 9: 6 removed; about 0:00:12 left, 15.0 a minute",
        "9 of 9: 9 removed; about 0:00:00 left, 15.0 a minute",
    ]


def test_a_run_in_ci_that_asks_for_colours_gets_no_bar(scenes, tmp_path):
    command = [sys.executable, "-m", "flows", *map(str, by_mask(scenes, tmp_path / "out"))]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, "FORCE_COLOR": "1"}, check=True
    )
    assert "━" not in ended.stderr
    assert "\r" not in ended.stderr


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    many = "".join(json.dumps(Outcome(f"{k}.png", "failed", reason="x" * (k % 900)).row()) + "\n" for k in range(3000))
    for name, rows in (("metadata", ""), ("failures", many)):
        (tmp_path / f"{name}.jsonl").write_text(rows)
    line = f"{sys.executable} -m flows status {tmp_path} --all | head -1"
    ended = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
    assert ended.stdout == "    3000  failed\n"
    assert ended.stderr == ""


def test_on_a_terminal_of_80_columns_no_word_is_broken():
    shown = OnTerminal("run", ".", "/o", "--text", "ball", "--model", "bundeld")
    assert shown.ended() == 2
    sent = shown.seen.decode().splitlines()
    assert max(map(len, sent)) <= 80
    presets = ", ".join(PRESETS)
    assert " ".join(" ".join(sent).split()).startswith(f"unknown model 'bundeld'; give a preset ({presets}),")


def test_a_long_path_overflows_rather_than_breaks():
    path = "/nowhere/" + "x" * 100
    shown = OnTerminal("run", path, "/o", "--text", "ball")
    assert shown.ended() == 2
    assert path.encode() in shown.seen


def test_colour_is_left_out_where_it_is_not_wanted():
    colour = re.compile(rb"\x1b\[[0-9;]*3[0-9]")
    coloured, plain = OnTerminal("run", "--help"), OnTerminal("run", "--help", NO_COLOR="1")
    assert coloured.ended() == plain.ended() == 0
    assert colour.search(coloured.seen)
    assert not colour.search(plain.seen)


def test_a_status_on_a_terminal_breaks_between_words_and_on_a_pipe_not_at_all(tmp_path):
    reason = "the segmenter that was asked for could not be loaded, since its weights are not where they should be"
    (tmp_path / "metadata.jsonl").write_text("")
    (tmp_path / "failures.jsonl").write_text(json.dumps(Outcome("a/b.png", "failed", reason=reason).row()) + "\n")
    shown = OnTerminal("status", tmp_path)
    assert shown.ended() == 1
    assert all(line.split()[-1] in f"1 {reason} (a/b.png)".split() for line in shown.lines[1:3])
    assert shown.lines[2].startswith(" " * 10)
    piped = subprocess.run(
        [sys.executable, "-m", "flows", "status", tmp_path], capture_output=True, text=True, timeout=60
    )
    assert f"       1  failed: {reason} (a/b.png)" in piped.stdout.splitlines()
