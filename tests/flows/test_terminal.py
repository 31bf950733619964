"""On a terminal, and on a pipe: the bar, plain lines, Ctrl-C from a keyboard, folding and colours."""

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from pathlib import Path
from types import SimpleNamespace

import pyte
import pytest

from flows import progress
from flows.records import Outcome
from flows.samples import write_scenes

PROGRAM = (  # Ctrl-C works, however the tests themselves were started
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from flows.cli import main; main()"
)


class OnTerminal:
    """The command on a terminal of its own, of 80 columns; `lines` are what it shows now, `seen` all that it sent."""

    def __init__(self, *arguments: object, **environment: str):
        self.ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 80, 0, 0))
        settings = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        settings |= {"TERM": "xterm-256color", **environment}
        program = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
        self.process = subprocess.Popen(
            program, stdin=its, stdout=its, stderr=its, env=settings, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(its)
        self.screen = pyte.Screen(80, 50)
        self.stream = pyte.ByteStream(self.screen)
        self.seen = b""

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def until(self, shown: str) -> bool:
        """Go on until something like this is shown, or the command has ended."""
        while not any(re.search(shown, line) for line in self.lines):
            if not self._more():
                return False
        return True

    def ended(self) -> int:
        while self._more():
            pass
        os.close(self.ours)
        return self.process.wait(60)

    def press(self, key: bytes) -> None:
        os.write(self.ours, key)

    def _more(self) -> bool:
        assert select.select([self.ours], [], [], 120)[0], self.lines
        try:
            sent = os.read(self.ours, 65536)
        except OSError:  # the other end is closed
            return False
        self.seen += sent
        self.stream.feed(sent)
        return True


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
    assert re.search(r"━+ 48/48 0:00:00 48 removed", shown.lines[1])
    assert " ".join(shown.lines[2:]).startswith(f"{tmp_path / 'out'}: 48 removed")
    assert sum("━" in line for line in shown.lines) == 1


def test_the_bar_goes_on_while_pictures_are_done(scenes, tmp_path):
    shown = OnTerminal(*by_mask(scenes, tmp_path / "out"))
    assert shown.until(r" [1-9]\d?/48 .*removed")
    assert shown.ended() == 0


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


def test_on_a_pipe_there_is_a_plain_line_every_ten_seconds(monkeypatch, capsys):
    clock = iter(range(0, 1000, 4))  # each picture takes four seconds
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    with progress.Terminal() as terminal:
        terminal.begin(9, 0)
        for number in range(9):
            terminal.did(Outcome(f"{number}.png", "removed"))
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "3 of 9: 3 removed"
    assert all(re.fullmatch(r"\d of 9: \d removed", line) for line in said)
    assert 2 <= len(said) <= 4


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
    assert " ".join(" ".join(sent).split()).startswith("unknown model 'bundeld'; give a preset (bundled, bundled-base,")


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
