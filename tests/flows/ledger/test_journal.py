"""Pictures that kill or hang the process that works on them: alone, then set aside, and never in a loop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.job import Job
from flows.ledger.manifest import Manifest
from flows.run import run
from tests.flows.small import Following, image, rows, small

ROOT = Path(__file__).parents[3]

POISON = """
import os, signal, sys, threading
from flows.cli import main as cli
from flows.steps import remove_masked

real, bad, how = remove_masked.decode, [int(red) for red in sys.argv[1].split(",")], sys.argv[2]

def decode(data, *limits):
    picture = real(data, *limits)
    if picture.image[0, 0, 2] in bad and how != "hangs":
        bad.clear()
        os.kill(os.getpid(), signal.SIGKILL if how == "kills" else signal.SIGSTOP)
        threading.Event().wait(0.3)  # a picture that takes a while
    return picture

class Hanging:
    def __init__(self, remover):
        self.choice, self.steps, self.strength, self.remove = remover.choice, None, None, remover
    def __call__(self, images, masks, seeds):
        if any(image[0, 0, 2] in bad for image in images):
            threading.Event().wait()
        return self.remove(images, masks, seeds)

remove_masked.decode = decode
if how == "hangs":
    load = remove_masked.load_remover
    remove_masked.load_remover = lambda *given, **options: Hanging(load(*given, **options))
sys.argv = ["cleanplate", *sys.argv[3:]]
cli.main()
"""


def attempt(job: Job, bad: list[int], how: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """The command, in which pictures with these blue values in their first pixel kill or hang it."""
    return subprocess.run(command(job, bad, how, *flags), capture_output=True, text=True, timeout=240, cwd=ROOT)


def command(job: Job, bad: list[int], how: str, *flags: str) -> list[str]:
    line = ["run", job.source, job.target, "--masks", job.masks, "--model=bundled", "--method=telea", "--no-verify"]
    return [sys.executable, "-c", POISON, ",".join(map(str, bad)), how, *line, "--no-flow", *flags]


def blue(number: int) -> int:
    return int(image(number)[0, 0, 2])


def test_a_picture_that_kills_the_process_is_tried_alone_and_then_set_aside(tmp_path):
    job = small(tmp_path, 5)
    ended = [attempt(job, [blue(1)], "kills") for _ in range(4)]
    assert [one.returncode for one in ended] == [-9, -9, -9, 1]
    row = rows(job.target)["p01.png"]
    assert row["status"] == "failed"
    assert "the process died twice while it worked on this picture alone" in row["reason"]
    assert sorted(name for name, row in rows(job.target).items() if row["status"] == "removed") == [
        "p00.png", "p02.png", "p03.png", "p04.png",
    ]  # fmt: skip
    assert run(job).tried == 0


def test_the_others_are_done_before_the_suspects_die_alone(tmp_path):
    job = small(tmp_path, 40)
    assert attempt(job, [blue(33), blue(35)], "kills").returncode == -9  # in its second portion
    assert attempt(job, [blue(33), blue(35)], "kills").returncode == -9
    with Manifest(Path(job.target)) as manifest:
        manifest.journal.look_back()
        assert manifest.journal.suspects() == {"p34.png": 0, "p35.png": 0, "p36.png": 0, "p37.png": 0} | {
            "p38.png": 0, "p39.png": 0, "p33.png": 1,
        }  # fmt: skip
        assert len(manifest.known()) == 33


def test_a_hung_call_ends_the_run_with_3_and_says_what_hung_and_the_picture_is_set_aside(tmp_path):
    job = small(tmp_path, 4)
    first, second, third = (attempt(job, [blue(2)], "hangs", "--hang-timeout", "0.4") for _ in range(3))
    assert (first.returncode, second.returncode, third.returncode) == (3, 3, 1)
    assert "in __call__" in first.stderr
    assert "while working on p00.png, p01.png, p02.png and 1 more" in first.stderr
    assert "while working on p02.png;" in second.stderr
    assert {name: row["status"] for name, row in rows(job.target).items()} == {
        "p00.png": "removed", "p01.png": "removed", "p02.png": "failed", "p03.png": "removed",
    }  # fmt: skip


def test_one_picture_is_set_aside_after_it_hung_twice_and_not_after_once(tmp_path):
    job = small(tmp_path, 1)
    ended = [attempt(job, [blue(0)], "hangs", "--hang-timeout", "0.4").returncode for _ in range(3)]
    assert ended == [3, 3, 1]
    assert "it hung on it alone" in rows(job.target)["p00.png"]["reason"]


def test_a_run_that_is_stopped_for_longer_than_a_call_may_hang_goes_on(tmp_path):
    job = small(tmp_path, 1)
    with subprocess.Popen(command(job, [blue(0)], "stops", "--hang-timeout", "6"), cwd=ROOT) as process:
        assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
        time.sleep(8)  # the time itself is what is tried
        os.kill(process.pid, signal.SIGCONT)
        assert process.wait(240) == 0
    assert rows(job.target)["p00.png"]["status"] == "removed"


def test_what_was_interrupted_without_dying_is_no_suspect(tmp_path):
    class Interrupting(Following):
        def did(self, outcome):
            raise KeyboardInterrupt

    job = small(tmp_path, 4)
    with pytest.raises(KeyboardInterrupt):
        run(job, Interrupting())
    with Manifest(Path(job.target)) as manifest:
        manifest.journal.look_back()
        assert manifest.journal.suspects() == {}


def test_a_suspect_that_goes_well_is_none_any_more(tmp_path):
    job = small(tmp_path, 3)
    attempt(job, [blue(1)], "kills")
    with Manifest(Path(job.target)) as manifest:
        manifest.journal.look_back()
        assert set(manifest.journal.suspects()) == {"p00.png", "p01.png", "p02.png"}
    following = Following()
    run(job, following)
    assert following.done == ["p00.png", "p01.png", "p02.png"]
    with Manifest(Path(job.target)) as manifest:
        assert manifest.journal.suspects() == {}


def test_a_picture_that_was_set_aside_is_due_when_it_changes(tmp_path):
    job = small(tmp_path, 1)
    while attempt(job, [blue(0)], "kills").returncode == -signal.SIGKILL:
        pass
    assert rows(job.target)["p00.png"]["status"] == "failed"
    (Path(job.source) / "p00.png").unlink()
    small(tmp_path, 2)
    (Path(job.source) / "p01.png").rename(Path(job.source) / "p00.png")
    assert run(job).done == {"removed": 1}


@pytest.mark.parametrize("code", [3, 4])
def test_json_says_also_of_a_run_that_stopped_what_was_done_and_why(tmp_path, code):
    job = small(tmp_path, 2)
    (Path(job.source) / "p00.png").write_bytes(b"")
    if code == 3:
        Path(job.target).mkdir()
        (Path(job.target) / "images").write_text("in the way")
    ended = attempt(job, [-1], "goes on", "--json", "--max-failures", "0" if code == 4 else "5")
    said = json.loads(ended.stdout)
    assert (ended.returncode, said["exit_code"]) == (code, code)
    assert said["error"] in ended.stderr
    assert said["done"].get("failed") == (1 if code == 4 else None)
