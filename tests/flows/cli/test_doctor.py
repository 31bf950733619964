"""doctor: every literal error that broken machines give is met with its fix."""

import errno
import fcntl
import importlib
import sys
import types
from collections import namedtuple
from pathlib import Path

import pytest

from flows.cli import doctor
from flows.cli import main as cli
from flows.cli.symptoms import FIXES, fix_of
from flows.cli.verbs.machine import doctor as verb
from flows.cli.verbs.talk import words_of
from flows.errors import EnvironmentFault, pip
from flows.formats import jpeg_workers

SAID = {  # whole messages, as machines gave them, and a part of what mends each
    "libxcb.so.1: cannot open shared object file: No such file or directory": "apt-get install -y libgl1 libglib2.0-0",
    "libGL.so.1: cannot open shared object file: No such file or directory": "apt-get install -y libgl1 libglib2.0-0",
    "libgthread-2.0.so.0: cannot open shared object file: No such file or directory": "libglib2.0-0t64",
    "module 'cv2' has no attribute '__version__'": f"{pip()} uninstall -y opencv-python opencv-python-headless",
    "operator torchvision::nms does not exist": "pip install --upgrade torch torchvision",
    "No module named 'torchvision'": "pip install torchvision",
    "Torch not compiled with CUDA enabled": "pip install --upgrade torch torchvision",
    "CUDA error: no kernel image is available for execution on the device": "pip install --upgrade torch torchvision",
    "The NVIDIA driver on your system is too old (found version 11040).": "newer NVIDIA driver",
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.79 GiB": "--batch-size 1",
    "Numpy is not available": "pip install --upgrade numpy torch torchvision",
    "Body() got an unexpected keyword argument 'min_items'": "pip install 'fastapi<0.151'",
    "SQLAlchemy 2.1.0: Prefect's schedules never create a run": "pip install 'sqlalchemy<2.1'",
    "Failed to reach API at http://127.0.0.1:4200/api/": "--no-flow",
    "Cannot find an appropriate cached snapshot folder for the specified revision on the local disk and outgoing "
    "traffic has been disabled. To enable repo look-ups and downloads online, set": "models pull",
    "We couldn't connect to 'https://huggingface.co' to load the files": "check network and proxy",
    "401 Client Error. Invalid user token.": "hf auth login",
    "[Errno 28] No space left on device: '/data/out/images'": "free some space",
    "[Errno 122] Disk quota exceeded": "free some space",
    "[Errno 30] Read-only file system: '/data/out'": "choose a target that can be written",
    "[Errno 37] No locks available": "a local disk",
    "locking protocol": "a local disk",
    "[Errno 24] Too many open files": "ulimit -n",
}


@pytest.fixture
def found(monkeypatch, tmp_path, capsys):
    """What doctor prints, and its exit code, with one check in the place of all."""

    def examine(check) -> tuple[int, str]:
        monkeypatch.setattr(doctor, "CHECKS", [("it", check, "nobody knows")])
        return verb(tmp_path), capsys.readouterr().out

    return examine


def test_every_fix_is_tried_by_a_message_and_the_other_way_round():
    assert {next(part for part in FIXES if part in message) for message in SAID} == set(FIXES)


@pytest.mark.parametrize("message", SAID)
def test_doctor_names_the_fix_of_every_literal_error(found, message):
    def broken():
        raise RuntimeError(message)

    code, out = found(broken)
    assert code == 3
    line = out.splitlines()[0]
    assert line.startswith("FIX  it: ")
    assert SAID[message] in line
    assert "nobody knows" not in line


@pytest.mark.parametrize("message", SAID)
def test_a_run_that_ends_by_such_an_error_names_its_fix_too(message):
    assert SAID[message] in words_of(EnvironmentFault(f"the models cannot be loaded: {message}")).splitlines()[-1]


def test_a_fix_names_the_pip_of_the_environment_that_runs(monkeypatch, tmp_path):
    """Outside an active environment there may be no `pip`, or that of another."""
    own = tmp_path / ".venv/bin/python"
    own.parent.mkdir(parents=True)
    own.touch(0o755)
    monkeypatch.setattr(sys, "executable", str(own))
    assert pip() == f"{own} -m pip"
    monkeypatch.chdir(tmp_path)
    assert pip() == ".venv/bin/python -m pip"
    monkeypatch.setenv("PATH", str(own.parent))
    assert pip() == "python -m pip"


def test_an_opencv_that_is_an_empty_shell_is_named(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", types.ModuleType("cv2"))
    code, out = found(doctor.opencv)
    assert code == 3
    assert "pip install opencv-python" in out


def test_a_machine_without_libjpeg_turbo_is_told_so(found, monkeypatch):
    assert "libjpeg" in doctor.jpeg()
    monkeypatch.setattr(jpeg_workers, "library", lambda: None)
    code, out = found(doctor.jpeg)
    assert code == 3
    assert "no libjpeg-turbo was found" in out


def test_an_sqlalchemy_that_starts_no_schedule_is_named(found, monkeypatch):
    monkeypatch.setattr(importlib.import_module("sqlalchemy"), "__version__", "2.1.0")
    assert "pip install 'sqlalchemy<2.1'" in found(doctor._schedules)[1]


def test_a_torch_that_does_not_use_the_gpu_is_named(found, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(doctor, "gpu_is_there", lambda: False)
    assert found(doctor._device)[0] == 0
    monkeypatch.setattr(doctor, "gpu_is_there", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", None)
    code, out = found(doctor._device)
    assert code == 3
    assert "which is for the CPU alone, does not use it" in out


def test_a_gpu_that_is_too_small_is_named(found, monkeypatch):
    import torch

    small = namedtuple("Properties", "name total_memory")("GeForce GT 1030", 2e9)
    for name, answer in (("is_available", True), ("device_count", 1), ("get_device_properties", small)):
        monkeypatch.setattr(torch.cuda, name, lambda *_, answer=answer: answer)
    assert "GeForce GT 1030 has 2.0 GB, too little" in found(doctor._device)[1]


def test_a_hub_that_must_not_be_asked_and_a_token_that_is_missing_are_said(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in doctor._hub()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    assert "no token" in doctor._hub()
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_x")
    assert doctor._hub() == "a token"


def test_a_file_system_without_locks_is_named(found, monkeypatch):
    def refused(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    assert found(str)[0] == 0
    monkeypatch.setattr(fcntl, "flock", refused)
    code, out = found(str)
    assert code == 3
    assert "FIX  target's file system: [Errno 37] No locks available" in out


def test_a_file_system_whose_locks_hold_nobody_off_is_named(found, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    assert "two runs could hold this folder at once" in found(str)[1]


def test_the_place_of_a_target_is_examined_and_left_as_it_was(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "CHECKS", [])
    assert verb(tmp_path / "not" / "yet") == 0
    assert f"free at {tmp_path}" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_wrong_usage_is_not_taken_for_a_broken_machine(monkeypatch, capsys, tmp_path):
    assert fix_of("there is no folder") is None
    monkeypatch.setattr(sys, "argv", ["cleanplate", "run", str(tmp_path / "out of memory"), str(tmp_path / "o")])
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    assert "--batch-size 1" not in capsys.readouterr().err


def test_the_readme_of_the_job_lists_every_symptom():
    readme = (Path(__file__).parents[3] / "flows" / "README.md").read_text()
    assert [part for part in FIXES if part not in readme] == []
