"""The second pass does again what should be, nothing else, and loses nothing of what there was."""

import hashlib
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.cli.main import app
from flows.errors import UsageError
from flows.job import Job
from flows.ledger.due import BY_HAND
from flows.ledger.lock import Busy
from flows.ledger.manifest import Manifest
from flows.review.decisions import Decision, apply
from flows.review.redo import redo
from flows.run import run
from flows.samples.scenes import write_scenes
from masks.segmenters import BUNDLED
from removal import Checkpoint, Choice

STRANGE = (255, 0, 255)


class Paint:
    """A remover that fills holes with a grey of the seed's choice, or strangely, or fails, as its lists of names say.

    A picture's name is its first pixel.
    """

    choice, steps, strength = Choice("bundled", Checkpoint(""), "inpainting", "for a reason"), 4, 1.0
    strange: frozenset[int] = frozenset()
    fails: frozenset[int] = frozenset()

    def __init__(self):
        self.painted: list[int] = []

    def __call__(self, images, masks, seeds):
        return [self.paint(*row) for row in zip(images, masks, seeds, strict=True)]

    def paint(self, image, mask, seed):
        picture, result = int(image[0, 0, 0]), image.copy()
        if picture in self.fails:
            raise RuntimeError("cannot paint this")
        result[mask] = STRANGE if picture in self.strange else 96 + seed % 4
        self.painted.append(picture)
        return result


@pytest.fixture
def paint(monkeypatch) -> Paint:
    painter = Paint()
    monkeypatch.setattr("flows.steps.remove_masked.load_remover", lambda *_, **__: painter)
    return painter


@pytest.fixture
def job(tmp_path, picture) -> Job:
    """A job over four pictures with a mask for all."""
    (tmp_path / "source" / "a").mkdir(parents=True)
    for number in range(4):
        image = picture(60, 80) // 16 + 91
        image[0, 0] = number
        Image.fromarray(image).save(tmp_path / "source" / "a" / f"{number}.png")
    mask = np.zeros((60, 80), bool)
    mask[20:40, 30:50] = True
    Image.fromarray(mask).save(tmp_path / "mask.png")
    places = {"source": "source", "target": "out", "masks": "mask.png"}
    return Job(**{key: str(tmp_path / name) for key, name in places.items()}, model="bundled")


@pytest.fixture
def done(job, paint) -> Path:
    """Its finished target: 1 is doubtful, 2 failed, 3 was rejected, and 0 is fine."""
    paint.strange, paint.fails = frozenset({1}), frozenset({2})
    run(job)
    target = Path(job.target)
    apply(target, [Decision("a/3.png", "reject", "a shadow is left")])
    paint.strange = paint.fails = frozenset()
    paint.painted.clear()
    return target


def rows(target: Path) -> dict[str, dict]:
    files = [target / "metadata.jsonl", target / "failures.jsonl"]
    found = [row for file in files for row in map(json.loads, file.read_text().splitlines())]
    return {row["source"].removeprefix("a/").removesuffix(".png"): row for row in found}


def attempts(target: Path, name: str) -> list[str]:
    return sorted(file.name for file in (target / ".cleanplate/attempts/a" / f"{name}.png").glob("*"))


def files(target: Path) -> dict[str, bytes]:
    """Everything that is published or archived."""
    kept = [file for file in target.rglob("*") if file.is_file() and not file.name.startswith(("manifest", "lock"))]
    rows = {"metadata.jsonl", "failures.jsonl", "report.html"}  # which hold seconds
    return {str(file.relative_to(target)): file.read_bytes() for file in kept if file.name not in rows}


def test_what_was_rejected_failed_or_is_doubtful_is_done_again_and_nothing_else(done, paint):
    fine = (done / "images/a/0.png").read_bytes()
    summary = redo(done)
    assert (paint.painted, summary.done) == ([1, 2, 3], {"removed": 3})
    assert {name: (row["status"], row["verdict"]) for name, row in rows(done).items()} == dict.fromkeys(
        "0123", ("removed", "gone")
    )
    assert (done / "images/a/0.png").read_bytes() == fine


@pytest.mark.parametrize(("only", "painted"), [("rejected", [3]), ("failed", [2]), ("doubtful", [1])])
def test_only_some_of_these_when_asked(done, paint, only, painted):
    redo(done, frozenset({only}))
    assert paint.painted == painted


def test_what_somebody_accepted_is_not_done_again(done, paint):
    apply(done, [Decision(f"a/{number}.png", "accept") for number in range(4)])
    assert redo(done).tried == 0


def test_the_earlier_result_is_archived_with_what_was_said_of_it(done):
    picture, mask = (done / "images/a/3.png").read_bytes(), (done / "masks/a/3.png.png").read_bytes()
    before = rows(done)["3"]
    redo(done)
    assert attempts(done, "3") == ["1.json", "1.mask.png", "1.png"]
    kept = done / ".cleanplate/attempts/a/3.png"
    assert (kept / "1.png").read_bytes() == picture
    assert (kept / "1.mask.png").read_bytes() == mask
    row = json.loads((kept / "1.json").read_text())
    assert (row["review"], row["note"], row["seed"]) == ("reject", "a shadow is left", before["seed"])
    assert attempts(done, "2") == []  # nothing had been published of it


def test_a_redo_is_another_attempt_with_another_seed_and_awaits_its_review(done):
    before = rows(done)
    redo(done)
    for name in "123":
        row = rows(done)[name]
        assert (row["attempt"], row["review"], row["note"]) == (2, None, None)
        assert row["seed"] != before[name]["seed"]
    assert rows(done)["0"] == before["0"]
    again = rows(done)
    apply(done, [Decision("a/3.png", "reject")])
    redo(done)
    assert rows(done)["3"]["attempt"] == 3
    assert len({row["3"]["seed"] for row in (before, again, rows(done))}) == 3
    assert attempts(done, "3") == [f"{n}.{end}" for n in (1, 2) for end in ("json", "mask.png", "png")]


def test_several_tries_go_on_from_the_attempts_before(done, paint):
    paint.strange = frozenset({3})
    redo(done, frozenset({"rejected"}), {"tries": 3})
    assert "doubtful after 3 attempts" in rows(done)["3"]["reason"]
    made = {int(name.split(".")[0]) for name in attempts(done, "3")}
    assert made | {rows(done)["3"]["attempt"]} == {1, 2, 3, 4}
    redo(done, frozenset({"doubtful"}), {"tries": 1})
    assert rows(done)["3"]["attempt"] == 5


def test_a_later_run_finds_it_finished_although_its_settings_are_others(done, job, paint):
    redo(done, given={"dilate": 5, "steps": 7})
    published = files(done)
    again = run(job)
    assert (again.tried, again.counts) == (0, {"removed": 4})
    assert files(done) == published
    found = rows(done)
    assert {name: row["dilate"] for name, row in found.items()} == {"0": 0, "1": 5, "2": 5, "3": 5}
    assert found["1"]["settings"] != found["0"]["settings"]
    assert "dilate" not in (done / "job.toml").read_text().replace('dilate = "auto"', "")


def test_the_settings_of_a_redo_hold_for_the_next_one_unless_they_are_changed_again(done):
    redo(done, given={"dilate": 5})
    apply(done, [Decision(f"a/{number}.png", "reject") for number in (0, 1, 3)])
    redo(done, frozenset({"rejected"}), {"seed": 9})
    assert {name: row["dilate"] for name, row in rows(done).items()} == {"0": 0, "1": 5, "2": 5, "3": 5}


def test_a_redo_that_fails_leaves_the_earlier_result_and_says_so(done, paint):
    published = files(done)
    paint.fails = frozenset({1, 2, 3})
    summary = redo(done)
    assert summary.done == {"failed": 3}
    found = rows(done)
    assert (found["3"]["status"], found["3"]["review"], found["3"]["attempt"]) == ("removed", "reject", 1)
    assert found["3"]["reason"] == "for a reason; attempt 2 failed: cannot paint this"
    assert (found["2"]["status"], found["2"]["reason"]) == ("failed", "cannot paint this")
    assert {name for name, data in files(done).items() if published.get(name) != data} <= {"README.md"}
    paint.fails = frozenset()
    redo(done)
    assert {row["attempt"] for name, row in rows(done).items() if name != "0"} == {3}


def test_what_the_job_does_not_find_any_more_is_published_as_it_is(done, tmp_path):
    empty = tmp_path / "empty.png"
    Image.fromarray(np.zeros((60, 80), bool)).save(empty)
    redo(done, frozenset({"rejected"}), {"masks": str(empty)})
    row = rows(done)["3"]
    assert (row["status"], row["mask_file_name"], row["attempt"]) == ("nothing found", None, 2)
    assert (done / "images/a/3.png").read_bytes() == (tmp_path / "source/a/3.png").read_bytes()
    assert not (done / "masks/a/3.png.png").exists()
    assert attempts(done, "3") == ["1.json", "1.mask.png", "1.png"]


def test_a_mask_made_by_hand_is_used_again(done, job):
    by_hand = np.zeros((60, 80), bool)
    by_hand[5:15, 5:75] = True
    Image.fromarray(by_hand).save(done / "masks/a/3.png.png")
    redo(done, frozenset({"rejected"}))
    row = rows(done)["3"]
    assert (row["segmenter"], row["mask_area"]) == (BY_HAND, round(by_hand.mean(), 6))
    assert run(job).tried == 0


def test_strips_show_what_is_published(done, job):
    redo(done, frozenset({"rejected"}), {"concat": True})
    assert [file.name for file in (done / "strips").rglob("*.png")] == ["3.png"]
    apply(done, [Decision("a/3.png", "reject")])
    redo(done, frozenset({"rejected"}))
    assert not list((done / "strips").rglob("*.png"))


def test_a_converted_picture_is_done_again_in_the_format_of_its_target(done, job, tmp_path):
    converted = job.model_copy(update={"target": str(tmp_path / "webp"), "format": "webp"})
    run(converted)
    apply(tmp_path / "webp", [Decision("a/3.png", "reject")])
    assert redo(tmp_path / "webp").done == {"removed": 1}
    assert rows(tmp_path / "webp")["3"]["file_name"] == "images/a/3.webp"
    assert sorted(file.name for file in (tmp_path / "webp/images/a").iterdir()) == [f"{k}.webp" for k in range(4)]
    assert attempts(tmp_path / "webp", "3") == ["1.json", "1.mask.png", "1.png"]
    assert run(converted).tried == 0
    with pytest.raises(UsageError, match="one format"):
        redo(tmp_path / "webp", given={"format": "png"})


def test_a_picture_that_changes_later_is_the_jobs_again(done, job, picture):
    redo(done, given={"dilate": 5})
    changed = picture(60, 80)
    changed[0, 0] = 3
    Image.fromarray(changed).save(Path(job.source) / "a" / "3.png")
    assert run(job).done == {"removed": 1}
    row = rows(done)["3"]
    assert (row["dilate"], row["attempt"]) == (0, 1)


DIES = """
import os, sys
import flows.{module} as module
from flows.review.redo import redo
from pathlib import Path

before, calls = {name}, []

def dies(*given, **named):
    made = before(*given, **named)
    calls.append(1)
    if len(calls) == 2:
        os._exit(9)
    return made

{name} = dies
redo(Path(sys.argv[1]), given={given})
"""
GIVEN = {"method": "telea", "dilate": 5}


def die(target: Path, module: str, name: str) -> None:
    """A redo in a process that dies when it has called something twice."""
    program = DIES.format(module=module, name=name, given=GIVEN)
    died = subprocess.run([sys.executable, "-c", program, target], capture_output=True, text=True, check=False)
    assert died.returncode == 9, died.stderr


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("review.redo", "module._archive"),
        ("review.redo", "module.Target.move"),
        ("ledger.manifest", "module.Manifest.record"),
        ("ledger.staging", "module.publish"),
    ],
)
def test_killed_anywhere_the_same_redo_goes_on_to_the_same_end(done, monkeypatch, module, name):
    monkeypatch.undo()  # the killed one has the real removers
    killed = Path(f"{done}-killed")
    shutil.copytree(done, killed)
    die(killed, module, name)
    with Manifest(killed) as manifest:
        left = manifest.file.execute("select count(*) from planned").fetchone()[0]
    assert 0 < left < 3
    assert redo(killed, given=GIVEN).tried == left
    redo(done, given=GIVEN)
    found, expected = files(killed), files(done)
    assert found.keys() == expected.keys()
    assert {name for name in found if found[name] != expected[name]} == {"job.toml"}  # which names its target
    timeless = [{n: row | {"seconds": 0} for n, row in rows(target).items()} for target in (done, killed)]
    assert timeless[0] == timeless[1]
    assert not (killed / ".cleanplate/redo").exists()


def test_a_run_after_a_killed_redo_puts_what_was_committed_in_its_place(done, job):
    die(done, "ledger.manifest", "module.Manifest.record")
    assert run(job).tried == 0
    for row in rows(done).values():
        if row["file_name"]:
            assert hashlib.sha256((done / row["file_name"]).read_bytes()).hexdigest() == row["sha256_out"]
    assert redo(done, given=GIVEN).tried == 1


def test_where_a_picture_was_clicked_it_is_looked_for_there(tmp_path):
    write_scenes(tmp_path / "scenes", count=3, seed=31)
    asked = [json.loads(line) for line in (tmp_path / "scenes/prompts.jsonl").read_text().splitlines()]
    rows = [{"file_name": row["file_name"], "points": [[1, 1, 1]]} for row in asked]
    (tmp_path / "wrong.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    places = {"source": "scenes/images", "target": "out", "prompts": "wrong.jsonl"}
    how = {"model": "bundled", "method": "telea", "segmenter": f"sam:{BUNDLED / 'sam'}", "device": "cpu"}
    job = Job(**{key: str(tmp_path / name) for key, name in places.items()}, **how)
    run(job)
    target, (point,) = tmp_path / "out", asked[1]["points"]
    apply(target, [Decision("0001.png", None, None, (tuple(point),))])
    assert redo(target, frozenset({"rejected"})).done == {"removed": 1}
    row = {row["source"]: row for row in map(json.loads, (target / "metadata.jsonl").read_text().splitlines())}
    assert (row["0001.png"]["points"], row["0001.png"]["text"]) == ([point], None)
    mask = np.asarray(Image.open(target / "masks/0001.png.png")) > 0
    real = np.asarray(Image.open(tmp_path / "scenes/objects/0001.png")) > 0
    assert (mask & real).sum() > 0.8 * real.sum()
    assert run(job).tried == 0
    assert redo(target, frozenset({"rejected"})).tried == 0
    apply(target, [Decision("0001.png", "reject")])
    redo(target, frozenset({"rejected"}))
    row = {row["source"]: row for row in map(json.loads, (target / "metadata.jsonl").read_text().splitlines())}
    assert row["0001.png"]["points"] == [point]


def test_the_command_does_it_with_changed_flags(done, capsys):
    with pytest.raises(SystemExit) as ended:
        app(["redo", str(done), "--only", "rejected,failed", "--dilate", "5", "--json"])
    assert ended.value.code == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["exit_code"], said["done"], said["counts"]) == (0, {"removed": 2}, {"removed": 4})
    assert rows(done)["3"]["dilate"] == 5


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"only": frozenset({"all"})}, "rejected, failed, doubtful, not all"),
        ({"given": {"segmenter": "samm"}}, "unknown segmenter"),
        ({"given": {"method": "controlnet"}}, "9 input channels"),
        ({"given": {"prompts": "nowhere.jsonl"}}, "no prompts file"),
    ],
)
def test_what_cannot_work_is_refused_and_nothing_touched(done, wrong, words):
    before = files(done), rows(done)
    with pytest.raises((UsageError, ValueError), match=words):
        redo(done, **wrong)
    run(Job(**tomllib.loads((done / "job.toml").read_text())))
    assert (files(done), rows(done)) == before


def test_what_holds_no_result_cannot_be_redone(tmp_path):
    with pytest.raises(UsageError, match="holds no Cleanplate result"):
        redo(tmp_path)


def test_while_a_run_has_the_target_nothing_is_redone(done):
    with Manifest(done), pytest.raises(Busy):
        redo(done)
