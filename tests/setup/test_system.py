"""Set-up: what the system lacks is looked for before anything is fetched; tests come before the type checker."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.setup import system

ROOT = Path(__file__).parents[2]
CHECKS = ("pytest", "check", "format", "mypy")  # what `make test` runs, in order: the last words tell them apart


@pytest.fixture
def apt_get(tmp_path, monkeypatch):
    """A noisy apt-get that notes what it was asked for. What is missing is there once it installed something."""
    program = tmp_path / "bin/apt-get"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "Unpacking"; echo "$@" >> {tmp_path}/asked; touch {tmp_path}/$2-ed\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(system, "LOG", tmp_path / "log")
    there = tmp_path / "install-ed"
    monkeypatch.setitem(system.NEEDS, "it", (lambda: None if there.exists() else "libit.so.1", ["libit1"]))
    return tmp_path


def test_what_is_missing_is_installed_with_one_line_and_the_noise_in_a_log(apt_get, monkeypatch, capfd):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert system.ensure("it") is None
    assert (apt_get / "asked").read_text().splitlines() == [
        "-q update",
        "-q install --yes --no-install-recommends libit1",
    ]
    assert capfd.readouterr() == (f"installing libit1 with apt-get (log: {apt_get / 'log'})\n", "")
    assert "Unpacking" in (apt_get / "log").read_text()


def test_what_is_there_is_left_alone(apt_get, monkeypatch, capfd):
    (apt_get / "install-ed").touch()
    assert system.ensure("it") is None
    assert not (apt_get / "asked").exists()
    assert capfd.readouterr() == ("", "")


def test_who_may_not_install_is_told_the_one_command(apt_get, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert system.ensure("it") == "libit.so.1 is missing: sudo apt-get install -y --no-install-recommends libit1"
    assert not (apt_get / "asked").exists()


def test_where_installing_fails_the_command_is_said_too(apt_get, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setitem(system.NEEDS, "it", (lambda: "libit.so.1", ["libit1"]))
    assert "libit.so.1 is missing: apt-get install -y" in system.ensure("it")


def test_a_browser_without_the_library_of_its_driver_is_not_enough(monkeypatch):
    monkeypatch.setenv("CHROMIUM", sys.executable)
    monkeypatch.setattr(system, "_loads", lambda name: name != "libatomic.so.1")
    monkeypatch.setattr(sys, "platform", "linux")
    assert system.missing_browser() == "libatomic.so.1"
    assert "libatomic1" in system.NEEDS["browser"][1]


@pytest.mark.parametrize("target", ["demo", "test", "setup"])
def test_the_libraries_are_looked_for_before_anything_is_fetched(target, tmp_path):
    lines = _make("-n", target, f"VENV={tmp_path / 'none'}").stdout.splitlines()
    looking = next(k for k, line in enumerate(lines) if "system.py libraries" in line)
    assert not any("pip install" in line for line in lines[:looking])
    assert any("pip install" in line and "--constraint tests/constraints.txt" in line for line in lines[looking:])


def test_the_demo_installs_no_tools_of_developers(tmp_path):
    assert "dev" not in _make("-n", "demo", f"VENV={tmp_path / 'none'}").stdout.replace("/dev/", "")
    assert "'.[dev]'" in _make("-n", "test", f"VENV={tmp_path / 'none'}").stdout


def test_test_newest_leaves_the_constraints_out():
    lines = _make("-n", "test-newest", "MAKE=make -n").stdout
    assert "pip install" in lines
    assert "--constraint" not in lines


@pytest.mark.parametrize("failing", [None, *CHECKS])
def test_make_test_runs_the_tests_first_and_everything_else_after_and_fails_if_one_failed(failing, tmp_path):
    (tmp_path / "bin").mkdir()
    for name in ("python", "ruff", "mypy"):
        program = tmp_path / "bin" / name
        program.write_text(
            "#!/bin/sh\n"
            'case "${0##*/} $*" in *pytest*) it=pytest;; *format*) it=format;; *check*) it=check;; *) it=mypy;; esac\n'
            f'echo "ran $it"; test $it != {failing}\n'
        )
        program.chmod(0o755)
    for stamp in (".ready", ".ready-demo"):
        (tmp_path / stamp).touch()
        os.utime(tmp_path / stamp, (4e9, 4e9))
    ended = _make("test", f"VENV={tmp_path}", CHROMIUM=sys.executable)
    assert [line.split()[1] for line in ended.stdout.splitlines() if line.startswith("ran ")] == list(CHECKS)
    assert (ended.returncode == 0) == (failing is None), ended.stderr
    assert ("failed:" in ended.stdout) == (failing is not None)


def _make(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    words = ["make", "--no-print-directory", *arguments, f"PYTHON={sys.executable}"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(words, cwd=ROOT, env=kept | variables, capture_output=True, text=True, timeout=60)
