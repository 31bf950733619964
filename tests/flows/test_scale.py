"""Large folders: a finished one is recognised by names, sizes and times alone, and memory does not grow with it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flows.formats.encoding import encode_image
from flows.formats.mask_files import encode_mask
from flows.job import Job
from flows.run import run
from flows.steps import remove_masked as removing
from removal import choose

ROOT = Path(__file__).parents[2]


class Grey:
    """A remover that paints grey."""

    choice, steps, strength = choose("sd15", "telea"), None, None

    def __call__(self, images, masks, seeds):
        return [np.where(mask[..., None], 9, image).astype(np.uint8) for image, mask in zip(images, masks, strict=True)]


def tiny(folder: Path, pictures: int) -> Job:
    """A job over so many pictures of 8×8 pixels, every one another, with one mask for all."""
    (folder / "images").mkdir(parents=True)
    image, mask = np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), bool)
    mask[2:5, 2:5] = True
    (folder / "mask.png").write_bytes(encode_mask(mask))
    for number in range(pictures):
        image[0, 0] = *divmod(number, 256), 0
        (folder / "images" / f"{number:05}.png").write_bytes(encode_image(image))
    places = {"source": folder / "images", "target": folder / "out", "masks": folder / "mask.png"}
    return Job(**{key: str(path) for key, path in places.items()}, model="bundled", method="telea", verify=False)


def finished(job: Job, monkeypatch) -> None:
    """Do a job without waiting for a disk."""
    with monkeypatch.context() as quick:
        quick.setattr(os, "fsync", lambda _: None)
        quick.setattr(removing, "load_remover", lambda *_, **__: Grey())
        assert run(job).done == {"removed": len(os.listdir(job.source))}


AGAIN = """
import json, sys
opened = []
sys.addaudithook(lambda event, given: event == "open" and str(given[0]).endswith(".png") and opened.append(given[0]))
from flows.run import run
from flows.job import Job
done = run(Job(**json.loads(sys.argv[1])))
print(json.dumps([done.tried, done.counts, opened, sorted({"torch", "diffusers", "prefect"} & set(sys.modules))]))
"""


@pytest.mark.parametrize("pictures", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_finished_folder_is_recognised_without_opening_a_picture_or_importing_torch(tmp_path, monkeypatch, pictures):
    """What is not opened is neither read nor decoded nor hashed."""
    job = tiny(tmp_path, pictures)
    finished(job, monkeypatch)
    assert said_by(AGAIN, job) == [0, {"removed": pictures}, [], []]


def test_a_picture_that_is_opened_does_not_escape_the_watch(tmp_path, monkeypatch):
    job = tiny(tmp_path, 2)
    finished(job, monkeypatch)
    os.utime(tmp_path / "images" / "00001.png", (1, 1))
    assert said_by(AGAIN, job)[2] == [str(tmp_path / "images" / "00001.png")]


MEMORY = """
import json, os, resource, sys
from flows.steps import remove_masked as removing
from flows.run import run
from flows.job import Job
from tests.flows.test_scale import Grey
os.fsync = lambda _: None
removing.load_remover = lambda *_, **__: Grey()
done = run(Job(**json.loads(sys.argv[1]))).done
print(json.dumps([done, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


@pytest.mark.slow
def test_ten_times_as_many_pictures_take_no_more_memory(tmp_path):
    """The most that a process of its own ever held (ru_maxrss), with the interpreter and all libraries."""
    few, many = (said_by(MEMORY, tiny(tmp_path / str(pictures), pictures)) for pictures in (200, 2000))
    assert (few[0], many[0]) == ({"removed": 200}, {"removed": 2000})
    assert many[1] < 1.1 * few[1]


def said_by(program: str, job: Job) -> list:
    """What a program, run by itself, says of a job in JSON."""
    given = [sys.executable, "-c", program, job.model_dump_json(exclude_unset=True)]
    return json.loads(subprocess.run(given, capture_output=True, text=True, check=True, cwd=ROOT).stdout)
