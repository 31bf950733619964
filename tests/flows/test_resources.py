"""What is the machine's fault stops the run with 3 and marks no picture bad; the same command goes on afterwards."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from flows.errors import ENVIRONMENT, EnvironmentFault, raise_if_environment
from flows.formats.encoding import encode_image
from flows.formats.pictures import decode
from flows.job import Job
from flows.run import run
from tests.flows.small import Following, delivered, rows, small

ROOT = Path(__file__).parents[2]
PICTURES = 24


def command(job: Job) -> list[str]:
    given = ["--masks", job.masks, "--model=bundled", "--method=telea", "--no-verify", "--no-flow", "--json"]
    return [sys.executable, "-m", "flows", "run", job.source, job.target, *given]


def cleanplate(job: Job) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(job), capture_output=True, text=True, cwd=ROOT, timeout=240)


@pytest.fixture
def mount(tmp_path) -> Iterator[Callable[..., Path]]:
    """A function that makes a small disk, or changes it; only root can."""
    place = tmp_path / "disk"
    place.mkdir()

    def mounted(options: str) -> Path:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True)
        if done.returncode:
            pytest.skip("a disk of its own takes root")
        return place

    yield mounted
    subprocess.run(["umount", str(place)], capture_output=True)


def large(place: Path) -> Job:
    """A job over pictures that do not shrink: 24 of about 50 KB."""
    job = small(place, 0, target=str(place / "disk" / "out"), masks=str(place / "mask.png"))
    (place / "in").mkdir()
    noise = np.random.default_rng(1)
    for number in range(PICTURES):
        pixels = noise.integers(0, 256, (128, 128, 3)).astype(np.uint8)
        (place / "in" / f"p{number:02}.png").write_bytes(encode_image(pixels))
    hole = np.zeros((128, 128, 3), np.uint8)
    hole[40:60, 40:60] = 255
    (place / "mask.png").write_bytes(encode_image(hole))
    return job


@pytest.mark.parametrize("size", ["60k", "300k", "1m"])
def test_a_full_disk_stops_the_run_with_nothing_half_written_and_the_same_command_goes_on(tmp_path, mount, size):
    mount(f"size={size}")
    job = large(tmp_path)
    ended = cleanplate(job)
    assert ended.returncode == 3, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "full" in ended.stderr or "No space left" in ended.stderr
    there = [name for name in delivered(job.target) if name.startswith("images/")]
    for name in there:
        assert decode((Path(job.target) / name).read_bytes()).image.shape == (128, 128, 3)
    mount("remount,size=50m")
    ended = cleanplate(job)
    assert ended.returncode == 0, ended.stderr
    assert {row["status"] for row in rows(job.target).values()} == {"removed"}
    assert len(rows(job.target)) == PICTURES
    assert not list(Path(job.target).rglob("*.part"))


def test_a_target_that_is_made_read_only_stops_the_run_and_the_same_command_goes_on(tmp_path, mount):
    mount("size=50m")
    job = large(tmp_path)
    assert run(job.model_copy(update={"limit": 3})).done == {"removed": 3}
    mount("remount,ro")
    ended = cleanplate(job)
    assert ended.returncode == 3, ended.stderr
    assert "cannot be written" in ended.stderr
    assert "Traceback" not in ended.stderr
    mount("remount,rw")
    assert run(job).done == {"removed": PICTURES - 3}


FEW_FILES = """
import os, resource, sys
from flows.cli import main as cli
from flows import run as job
from flows.steps import remove_masked
from flows.cli import progress
import removal.fills.telea, PIL.PngImagePlugin
spare = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + spare,) * 2)
sys.argv = ["cleanplate", *sys.argv[2:]]
cli.main()
"""


@pytest.mark.parametrize("spare", [0, 2, 4, 5, 6])
def test_too_few_file_handles_stop_the_run_and_no_picture_is_marked_bad(tmp_path, spare):
    job = small(tmp_path, 6)
    given = [sys.executable, "-c", FEW_FILES, str(spare), *command(job)[3:]]
    ended = subprocess.run(given, capture_output=True, text=True, cwd=ROOT, timeout=240)
    assert ended.returncode in ((3,) if spare < 5 else (0, 3)), ended.stderr  # so few may just do
    if ended.returncode:
        assert "Too many open files" in ended.stderr or "unable to open" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert run(job).counts == {"removed": 6}


@pytest.mark.parametrize("number", sorted(ENVIRONMENT))
def test_an_error_of_the_machine_is_told_by_its_number_whatever_its_class(number):
    with pytest.raises(EnvironmentFault, match=r"run the same command"):
        raise_if_environment(OSError(number, os.strerror(number), "a.png"))


@pytest.mark.parametrize("number", [None, errno.ENOENT, errno.EACCES, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG])
def test_an_error_of_one_picture_is_none_of_the_machine(number):
    raise_if_environment(OSError(number, "no", "a.png") if number else OSError("image file is truncated"))


def test_a_gpu_that_is_lost_stops_the_run_and_no_picture_is_marked_bad(tmp_path, monkeypatch):
    from removal import load_remover

    real = load_remover("bundled", method="telea")

    class Lost:
        choice, steps, strength = real.choice, real.steps, real.strength

        def __call__(self, images, masks, seeds):
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    job = small(tmp_path, 3)
    with monkeypatch.context() as broken:
        broken.setattr("flows.steps.remove_masked.load_remover", lambda *_, **__: Lost())
        with pytest.raises(EnvironmentFault, match="the GPU"):
            run(job)
    assert run(job).done == {"removed": 3}


def test_a_picture_too_large_for_memory_is_one_picture(tmp_path, monkeypatch):
    import flows.steps.remove_masked as removing

    real = removing.decode

    def decode_some(data, *limits):
        picture = real(data, *limits)
        if picture.image[0, 0, 2] == 149:
            raise MemoryError
        return picture

    monkeypatch.setattr(removing, "decode", decode_some)
    following = Following()
    run(small(tmp_path, 3), following)
    assert {row.source: row.status for row in following.rows} == {
        "p00.png": "removed", "p01.png": "failed", "p02.png": "removed",
    }  # fmt: skip
