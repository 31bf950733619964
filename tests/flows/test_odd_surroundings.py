"""Machines and words that are a little off: no stderr, no home, file addresses, record files of another version."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.job import Job
from flows.settings.paths import plain_path
from removal.weights.cache import NoHome, cache_folder
from tests.flows.small import rows, small

PROGRAM = [sys.executable, "-m", "flows"]


def line(job: Job, *more: str) -> list[str]:
    given = ["--masks", job.masks, "--model=bundled", "--method=telea", "--no-verify", "--no-flow"]
    return [*PROGRAM, "run", job.source, job.target, *given, *more]


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full", "2> >(true)"])
@pytest.mark.parametrize("failing", [False, True])
def test_who_cannot_be_told_does_not_change_the_exit_code_of_what_is_done(tmp_path, stderr, failing):
    job = small(tmp_path, 2)
    if failing:
        (tmp_path / "in" / "p00.png").write_bytes(b"no picture")
    run = subprocess.run(["bash", "-c", f'"$@" {stderr}', "bash", *line(job, "-v")], capture_output=True)
    assert run.returncode == (1 if failing else 0)
    assert {row["status"] for row in rows(job.target).values()} == {"removed", *(["failed"] if failing else [])}


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full"])
def test_wrong_usage_is_wrong_usage_where_nobody_can_be_told(tmp_path, stderr):
    for words in (["run", str(tmp_path / "nothing"), str(tmp_path / "out"), "--text", "a"], ["run", "--nonsense"]):
        ended = subprocess.run(["bash", "-c", f'"$@" {stderr}', "bash", *PROGRAM, *words], capture_output=True)
        assert ended.returncode == 2, words


def test_no_file_takes_the_place_of_a_stderr_that_is_closed(tmp_path):
    program = (
        "import os, sys\nfrom flows.cli import main\n"
        "main.app = lambda words: print(os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY))\nmain.main(main.app)"
    )
    shell = ["bash", "-c", '"$@" 2>&-', "bash", sys.executable, "-c", program, str(tmp_path / "file")]
    assert int(subprocess.run(shell, capture_output=True, text=True).stdout) > 2


def test_a_user_without_a_home_is_told_of_the_variable_to_set(monkeypatch):
    for name in ("CLEANPLATE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: os.fspath(path))
    with pytest.raises(NoHome, match="CLEANPLATE_CACHE"):
        cache_folder("targets")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become a user that nobody knows")
def test_a_user_without_a_home_can_work_and_a_store_says_what_it_needs(tmp_path):
    job = small(tmp_path, 1)
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents:
        if folder.stat().st_mode & 0o7 != 0o7 and folder.is_relative_to("/tmp/") and folder != Path("/tmp"):
            folder.chmod(0o755)
    environment = {key: value for key, value in os.environ.items() if key not in ("HOME", "CLEANPLATE_CACHE")}
    become = "import os, sys; os.setuid(54321); os.execv(sys.argv[1], sys.argv[1:])"
    store = job.model_copy(update={"target": "memory://out"})
    command = [sys.executable, "-c", become, *line(store)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    if "Permission denied" in ended.stderr:
        pytest.skip("the program itself may not be read by others here")
    assert (ended.returncode, "CLEANPLATE_CACHE" in ended.stderr) == (3, True), ended.stderr


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("file:///data/in", "/data/in"),
        ("file://localhost/data/a%20b", "/data/a b"),
        ("FILE:///data", "/data"),
        ("file:/data/in", "/data/in"),
        ("s3://bucket/in", "s3://bucket/in"),
        ("a/b", "a/b"),
    ],
)
def test_a_file_address_is_the_path_in_it(given, path):
    assert plain_path(given) == path


@pytest.mark.parametrize("given", ["file://photos", "file:photos", "~nosuchuser", "~nosuchuser/photos"])
def test_what_names_no_path_is_refused_with_words(given):
    for job in ({"source": given, "target": "out"}, {"source": "in", "target": given}, {"masks": given}):
        with pytest.raises(ValueError, match=r"file:///data|not a user's home"):
            Job(**{"source": "in", "target": "out", "text": ["a"]} | job)


def test_source_and_target_may_be_file_addresses_in_every_verb(tmp_path):
    job = small(tmp_path, 1)
    run = line(job)
    run[4:6] = [f"file://{job.source}", f"file://{job.target}"]
    assert subprocess.run(run, cwd=tmp_path, capture_output=True).returncode == 0
    assert not (tmp_path / "file:").exists()
    assert set(rows(job.target)) == {"p00.png"}
    for verb in (["status"], ["review"], ["export", str(tmp_path / "given")]):
        ended = subprocess.run(
            [*PROGRAM, verb[0], f"file://{job.target}", *verb[1:]], cwd=tmp_path, capture_output=True
        )
        assert ended.returncode == 0, ended.stderr
    assert not (tmp_path / "file:").exists()


@pytest.mark.parametrize("words", ["status", "review", "run out", "export out", "merge", "redo", "pick", "doctor"])
def test_a_home_that_nobody_has_is_wrong_usage(words, tmp_path):
    verb, *more = words.split()
    ended = subprocess.run([*PROGRAM, verb, "~nosuchuser", *more], cwd=tmp_path, capture_output=True, text=True)
    assert (ended.returncode, "not a user's home" in ended.stderr) == (2, True), ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("given", ["²", "٣", "1²%", "-1", "nan", "1e3", ".", "%", "", "10%%", "1.2.3"])
def test_failures_allowed_are_plain_numbers(given):
    with pytest.raises(ValueError, match="failures allowed are a number"):
        Job(source="in", target="out", max_failures=given)


def test_rows_of_another_version_are_read_and_what_is_no_row_is_told_with_its_line(tmp_path):
    job = small(tmp_path, 1)
    assert subprocess.run(line(job), capture_output=True).returncode == 0
    file = tmp_path / "out" / "metadata.jsonl"
    (row,) = map(json.loads, file.read_text().splitlines())
    fewer = {key: value for key, value in row.items() if key not in ("review", "verdict", "note", "doubt")}
    for verb in (["status"], ["review"]):
        file.write_text(json.dumps(fewer | {"of_a_newer_version": 1}) + "\n\n")
        ended = subprocess.run([*PROGRAM, *verb, job.target], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        for wrong in ("{}", "[]", "null", "{", '{"source": 1, "status": 2}'):
            file.write_text(json.dumps(row) + "\n" + wrong + "\n")
            ended = subprocess.run([*PROGRAM, *verb, job.target], capture_output=True, text=True)
            assert (ended.returncode, "metadata.jsonl, line 2" in ended.stderr) == (2, True), (wrong, ended.stderr)
