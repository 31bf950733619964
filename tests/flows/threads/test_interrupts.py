"""Ctrl-C: once, twice, and where it is ignored."""

import json
import signal
import sys
import threading
from pathlib import Path

import pytest

from flows.cli import main as cli
from flows.cli import progress
from flows.samples.scenes import write_scenes
from flows.threads.interrupts import graceful_sigint, interrupted, until_interrupted

PICTURES = 40  # two portions of the job, five groups of the removal


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "scenes"
    write_scenes(folder, count=PICTURES, seed=12)
    return folder


@pytest.fixture
def run(monkeypatch, capsys, tmp_path, scenes):
    """Run the command, with so many Ctrl-C as the first picture is done: (exit code, stdout, stderr)."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    did = progress.Terminal.did

    def run_with(presses: int, *more: str):
        left = [signal.SIGINT] * presses

        def press(self, outcome):
            did(self, outcome)
            while left:
                signal.raise_signal(left.pop())

        monkeypatch.setattr(progress.Terminal, "did", press)
        given = [scenes / "images", tmp_path / "out", "--masks", scenes / "masks", "--model", "bundled"]
        monkeypatch.setattr(sys, "argv", ["cleanplate", "run", *map(str, given), "--method", "telea", "--json", *more])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        for thread in threading.enumerate():
            if thread not in (threading.main_thread(), threading.current_thread()) and not thread.daemon:
                thread.join()
        return ended.value.code, *capsys.readouterr()

    return run_with


def rows(target: Path) -> list[dict]:
    return [json.loads(line) for line in (target / "metadata.jsonl").read_text().splitlines()]


def test_ctrl_c_finishes_the_batch_in_work_and_the_same_command_goes_on(run, tmp_path):
    code, out, err = run(1)
    assert code == 130
    assert "finishing the batch; again to stop at once" in err
    assert err.splitlines()[-1] == "interrupted; the same command goes on from here"
    done = len(rows(tmp_path / "out"))
    assert done in (8, 16, 24)  # the group in work, that of the next portion, and the one that was written meanwhile
    assert all((tmp_path / "out" / row["file_name"]).exists() for row in rows(tmp_path / "out"))
    assert json.loads(out)["exit_code"] == 130
    code, out, err = run(0)
    assert code == 0
    assert json.loads(out)["done"] == {"removed": PICTURES - done}


def test_ctrl_c_twice_stops_at_once(run, tmp_path):
    code, _, err = run(2)
    assert code == 130
    assert err.splitlines()[-1] == "interrupted; the same command goes on from here"
    assert len(rows(tmp_path / "out")) == 1
    assert run(0)[0] == 0


def test_ctrl_c_while_the_last_picture_is_in_work_interrupts_nothing(run, tmp_path):
    assert run(1, "--limit", "1")[0] == 0


def test_ctrl_c_means_the_same_as_before_after_a_run(run):
    run(1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not interrupted()


def test_where_ctrl_c_is_ignored_it_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with graceful_sigint(print):
            signal.raise_signal(signal.SIGINT)
            assert list(until_interrupted([1, 2])) == [1, 2]
    finally:
        signal.signal(signal.SIGINT, before)
