"""A finder of one's own on the command line, and refused wherever else it is named: it is code."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.cli import main as cli
from flows.errors import UsageError
from flows.job import Job
from flows.run import run
from flows.settings import own_code

NAME = "finder_at_hand:find"
FINDER = """
import numpy as np
from masks import Found

def find(images, prompts):
    open("called", "a").write("x")
    return [Found((image == [255, 0, 255]).all(axis=2), 0.9) for image in images]
"""
YOLO = """
import numpy as np

class Array:
    def __init__(self, values): self.values = values
    def cpu(self): return self
    def numpy(self): return self.values

class Seen:
    names = {0: "person", 16: "dog"}
    def __init__(self, image):
        assert image.flags.c_contiguous or image.strides[-1] < 0  # turned from RGB
        masks = [(image == colour).all(axis=2) for colour in ([255, 0, 255], [0, 255, 0])]
        there = [k for k in (0, 1) if masks[k].any()]
        self.masks = type("Masks", (), {"data": [Array(masks[k].astype(np.float32)) for k in there]}) if there else None
        self.boxes = type("Boxes", (), {"cls": [(16.0, 0.0)[k] for k in there], "conf": [(0.7, 0.9)[k] for k in there]})

class YOLO:
    def __init__(self, weights): assert weights == "yolo11n-seg.pt"
    def __call__(self, image, conf, retina_masks, verbose): return [Seen(image)]
"""


@pytest.fixture
def here(tmp_path, monkeypatch, picture) -> Path:
    """The current folder: pictures in `in`, one of them without anything magenta, and a module with a finder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(own_code, "_NAMED", set())
    for name in ("finder_at_hand", "finder", "ultralytics"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "finder_at_hand.py").write_text(FINDER)
    (tmp_path / "in").mkdir()
    for name, there in (("a", True), ("b", False)):
        image = picture(60, 80)
        image[20:30, 30:45] = [255, 0, 255] if there else image[20:30, 30:45]
        image[40:50, 10:20] = [0, 255, 0]
        Image.fromarray(image).save(tmp_path / "in" / f"{name}.png")
    return tmp_path


@pytest.fixture
def cleanplate(monkeypatch, capsys, here):
    """Run the command in this process: (exit code, stderr)."""
    monkeypatch.setenv("PREFECT_HOME", str(here / "prefect"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)

    def run(*words: str):
        own_code._NAMED.clear()  # as in a new process
        monkeypatch.setattr(sys, "argv", ["cleanplate", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr().err

    return run


PLAIN = ("--model", "bundled", "--method", "telea", "--no-verify", "--dilate", "0", "--text", "dog")


def rows(target: Path) -> dict[str, dict]:
    lines = [*(target / "metadata.jsonl").open(), *(target / "failures.jsonl").open()]
    return {row["source"]: row for row in map(json.loads, lines)}


def test_a_function_of_a_module_in_the_current_folder_finds_what_is_removed(here, cleanplate):
    assert cleanplate("run", "in", "out", *PLAIN, "--segmenter", NAME)[0] == 0
    found = rows(here / "out")
    assert (found["a.png"]["status"], found["b.png"]["status"]) == ("removed", "nothing found")
    assert (found["a.png"]["segmenter"], found["a.png"]["score"], found["a.png"]["objects"]) == (NAME, 0.9, 1)
    mask = np.asarray(Image.open(here / "out/masks/a.png.png")) > 0
    assert mask[20:30, 30:45].all()
    assert mask.sum() == 150


def test_the_example_of_the_readme_finds_what_yolo_finds_and_nothing_else(here, cleanplate):
    readme = (Path(__file__).parents[3] / "masks/README.md").read_text()
    example = next(code for code in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "ultralytics" in code)
    (here / "finder.py").write_text(example)
    (here / "ultralytics.py").write_text(YOLO)
    assert cleanplate("run", "in", "out", *PLAIN, "--segmenter", "finder:find")[0] == 0
    found = rows(here / "out")
    assert (found["a.png"]["status"], found["b.png"]["status"]) == ("removed", "nothing found")
    assert found["a.png"]["score"] == 0.7
    assert (np.asarray(Image.open(here / "out/masks/a.png.png")) > 0).sum() == 150


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def find(images, prompts):\n    raise KeyError('dog')\n", f"the segmenter {NAME} failed: KeyError: 'dog'"),
        ("def find(images, prompts):\n    return [image[..., 0] > 0 for image in images]\n", "a ndarray for a picture"),
        ("def find(images, prompts):\n    raise SystemExit(0)\n", f"the segmenter {NAME} failed: SystemExit"),
    ],
)
def test_an_error_in_it_is_a_row_of_every_picture_and_not_the_end_of_the_run(here, cleanplate, text, reason):
    (here / "finder_at_hand.py").write_text(text)
    assert cleanplate("run", "in", "out", *PLAIN, "--segmenter", NAME)[0] == 1
    assert all(row["status"] == "failed" and reason in row["reason"] for row in rows(here / "out").values())


@pytest.mark.parametrize("name", ["no_such_module:find", "finder_at_hand:seek", "broken:find"])
def test_what_cannot_be_imported_is_exit_2_with_its_name_and_nothing_is_touched(here, cleanplate, name):
    (here / "broken.py").write_text("import no_such_library\n")
    code, said = cleanplate("run", "in", "out", *PLAIN, "--segmenter", name)
    assert code == 2
    assert name in said
    assert not (here / "out").exists()


def refused(here: Path, said: str) -> None:
    assert "code is never run from" in said
    assert f"--segmenter {NAME}" in said
    assert not (here / "called").exists()


def test_a_job_file_that_names_code_is_refused_until_the_command_line_names_it(here, cleanplate):
    (here / "job.toml").write_text(f'segmenter = "{NAME}"\n')
    for verb in ("run", "masks"):
        code, said = cleanplate(verb, "in", "out", *PLAIN, "--job", "job.toml")
        assert code == 2
        refused(here, said)
        assert not (here / "out").exists()
    code, said = cleanplate("compare", "in", "sheets", "--text", "dog", "--method", "telea", "--job", "job.toml")
    assert code == 2
    refused(here, said)
    (here / "other.toml").write_text('segmenter = "other_module:find"\n')
    assert cleanplate("run", "in", "out", *PLAIN, "--job", "other.toml", "--segmenter", NAME)[0] == 0


def test_a_target_made_by_code_is_done_again_only_where_the_code_is_named_again(here, cleanplate):
    (here / "finder_at_hand.py").write_text(FINDER.replace("return [", "raise ValueError\n    return ["))
    assert cleanplate("run", "in", "out", *PLAIN, "--segmenter", NAME)[0] == 1
    (here / "finder_at_hand.py").write_text(FINDER)
    sys.modules.pop("finder_at_hand")
    (here / "called").unlink()
    code, said = cleanplate("redo", "out", "--only", "failed")
    assert code == 2
    refused(here, said)
    code, said = cleanplate("run", "in", "out", "--job", "out/job.toml")
    assert code == 2
    refused(here, said)
    assert cleanplate("status", "out")[0] == 1  # some failed; a look at a target needs no finder
    assert cleanplate("redo", "out", "--only", "failed", "--segmenter", NAME)[0] == 0
    assert rows(here / "out")["a.png"]["status"] == "removed"


def test_a_job_made_in_python_names_no_code(here):
    job = Job(source=str(here / "in"), target=str(here / "out"), text=["dog"], model="bundled", segmenter=NAME)
    with pytest.raises(UsageError) as raised:
        run(job)
    refused(here, str(raised.value))


def test_a_flow_takes_no_code_though_this_process_named_it(here):
    import asyncio

    from flows.remove_objects import remove_objects

    own_code.named_by_hand({"segmenter": NAME})
    with pytest.raises(UsageError, match="names code, which the parameters of a flow may not"):
        asyncio.run(remove_objects.fn(str(here / "in"), str(here / "out"), text=["dog"], segmenter=NAME))
    assert not (here / "called").exists()


def test_where_prefect_has_a_server_it_is_said_how_to_run_without(here, cleanplate, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    for more in ((), ("--flow",)):
        code, said = cleanplate("run", "in", "out", *PLAIN, "--segmenter", NAME, *more)
        assert code == 2
        assert "add --no-flow" in said
    assert cleanplate("run", "in", "out", *PLAIN, "--segmenter", NAME, "--no-flow")[0] == 0


def test_a_mistyped_segmenter_is_asked_after_though_it_looks_like_code(here, cleanplate):
    (here / "job.toml").write_text('segmenter = "sma:vit_b"\n')
    assert "did you mean 'sam'" in cleanplate("run", "in", "out", *PLAIN, "--job", "job.toml")[1]
    assert "did you mean 'sam'" in cleanplate("run", "in", "out", *PLAIN, "--segmenter", "sma:vit_b")[1]
