"""Decisions come from strangers, and end in the rows of the pictures that they are about, or are refused."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from flows.errors import UsageError
from flows.job import Job
from flows.ledger.lock import Busy
from flows.ledger.manifest import Manifest
from flows.ledger.overrides import Override, overrides
from flows.review.decisions import Decision, apply, read_decisions
from flows.run import run


@pytest.fixture
def target(tmp_path, picture) -> Path:
    """A finished target: a/0.png and a/1.png are done, 2.png is broken."""
    source = tmp_path / "source"
    (source / "a").mkdir(parents=True)
    for number in range(2):
        Image.fromarray(picture(40, 60)).save(source / "a" / f"{number}.png")
    (source / "2.png").write_bytes(b"broken")
    mask = np.zeros((40, 60), bool)
    mask[10:20, 10:20] = True
    Image.fromarray(mask).save(tmp_path / "mask.png")
    run(job(tmp_path))
    return tmp_path / "out"


def job(place: Path) -> Job:
    places = {"source": "source", "target": "out", "masks": "mask.png"}
    return Job(**{key: str(place / name) for key, name in places.items()}, model="bundled", method="telea")


def rows(target: Path) -> dict[str, dict]:
    files = [target / "metadata.jsonl", target / "failures.jsonl"]
    return {row["source"]: row for file in files for row in map(json.loads, file.read_text().splitlines())}


def lines(*decisions: dict) -> str:
    return "".join(json.dumps(decision) + "\n" for decision in decisions)


def test_review_and_note_stand_in_the_rows_of_the_pictures_decided_and_in_no_others(target):
    before = rows(target)
    decided = lines(
        {"file_name": "a/1.png", "review": "reject", "note": "a “shadow” is left"},
        {"file_name": "2.png", "review": "accept", "note": ""},
    )
    assert apply(target, read_decisions(decided)) == 2
    before["a/1.png"] |= {"review": "reject", "note": "a “shadow” is left"}
    before["2.png"] |= {"review": "accept"}
    assert rows(target) == before


def test_a_later_run_keeps_what_was_decided_and_does_nothing_again(target, tmp_path):
    apply(target, [Decision("a/0.png", "reject", "no")])
    (target / "metadata.jsonl").unlink()  # so that it is written again
    assert run(job(tmp_path)).tried == 0
    assert rows(target)["a/0.png"]["review"] == "reject"


def test_a_decision_replaces_the_one_before_it_whole(target):
    first = {"file_name": "a/0.png", "review": "reject", "note": "no", "points": [[3, 4, 1]], "boxes": [[1, 2, 9, 9]]}
    apply(target, read_decisions(lines(first)))
    with Manifest(target) as manifest:
        assert overrides(manifest.file) == {"a/0.png": Override([[3, 4, 1]], [[1, 2, 9, 9]])}
    assert apply(target, read_decisions(lines(first, {"file_name": "a/0.png", "review": None}))) == 1
    assert rows(target)["a/0.png"] | {"review": None, "note": None} == rows(target)["a/0.png"]
    with Manifest(target) as manifest:
        assert overrides(manifest.file) == {}


@pytest.mark.parametrize(
    "name", ["3.png", "../a/0.png", "/etc/passwd", "", "a/0.png\0", "\ud800", "images/a/0.png", "a//0.png"]
)
def test_a_decision_for_what_is_no_picture_is_said_and_left_out(target, name):
    said, before = [], rows(target)
    assert apply(target, read_decisions(lines({"file_name": name, "review": "accept"})), said.append) == 0
    assert said == [f"decisions, line 1: there is no picture {name!r}; left out"]
    assert rows(target) == before


@pytest.mark.parametrize(
    "outside", [{"points": [[60, 5, 1]]}, {"points": [[5, 5, 1], [5, -1, 0]]}, {"boxes": [[60, 0, 70, 9]]}]
)
def test_what_was_clicked_outside_its_picture_is_said_and_left_out(target, outside):
    said = []
    decided = lines({"file_name": "a/0.png", "review": "reject", **outside}, {"file_name": "a/1.png"})
    assert apply(target, read_decisions(decided), said.append) == 1
    assert len(said) == 1
    assert said[0].startswith("decisions, line 1: ")
    assert "outside 'a/0.png' of 60×40 pixels" in said[0]
    assert rows(target)["a/0.png"]["review"] is None


def test_the_edits_that_the_readme_shows_are_read():
    said = (Path(__file__).parents[3] / "flows/README.md").read_text()
    shown = [json.loads(edit) for edit in re.findall(r"`(\{\"(?:brush|region|object)\".*?\})`", said)]
    assert len(shown) == 3
    (decision,) = read_decisions(lines({"file_name": "a/0.png", "review": "reject", "mask": shown}))
    assert [edit.kind for edit in decision.mask] == ["brush", "region", "object"]


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[]",
        "null",
        '{"review": "accept"}',
        '{"file_name": 3}',
        '{"file_name": "a", "review": "accepted"}',
        '{"file_name": "a", "review": ["accept"]}',
        '{"file_name": "a", "review": true}',
        '{"file_name": "a", "review": "kept"}',
        '{"file_name": "a", "mask": {}}',
        '{"file_name": "a", "mask": [{"brush": [[1, 2]]}]}',
        '{"file_name": "a", "mask": [{"path": "../b.png"}]}',
        '{"file_name": "a", "note": 7}',
        '{"file_name": "a", "note": "' + "x" * 10_001 + '"}',
        '{"file_name": "a", "points": {"x": 1}}',
        '{"file_name": "a", "points": [[1]]}',
        '{"file_name": "a", "points": [[1, 2, 0]]}',
        '{"file_name": "a", "points": [[1, 2, 7]]}',
        '{"file_name": "a", "points": [[1, "2", 1]]}',
        '{"file_name": "a", "points": [[NaN, 2, 1]]}',
        '{"file_name": "a", "boxes": [[0, 0, 1e999, 4]]}',
        '{"file_name": "a", "boxes": [[9, 0, 3, 4]]}',
        '{"file_name": "a", "boxes": [[0, 0, 3]]}',
        "[" * 100_000,
    ],
)
def test_what_is_no_decision_is_refused_with_its_line(line):
    with pytest.raises(ValueError, match="decisions, line 3: "):
        read_decisions('{"file_name": "a"}\n\n' + line)


@given(st.text() | st.recursive(st.none() | st.text() | st.floats(), lambda some: st.lists(some)).map(json.dumps))
def test_any_text_is_decisions_or_refused_in_words(text):
    try:
        found, refused = read_decisions(text), ""
    except ValueError as error:
        found, refused = [], str(error)
    assert all(isinstance(one, Decision) for one in found)
    assert not refused or refused.startswith("decisions, line ")


def test_what_holds_no_result_takes_no_decisions(tmp_path):
    with pytest.raises(UsageError, match="holds no Cleanplate result"):
        apply(tmp_path, [Decision("a.png", "accept")])
    assert list(tmp_path.iterdir()) == []


def test_while_a_run_has_the_target_nothing_is_decided(target):
    with Manifest(target), pytest.raises(Busy):
        apply(target, [Decision("a/0.png", "accept")])
    assert rows(target)["a/0.png"]["review"] is None


def test_decisions_need_no_source(target, tmp_path):
    (tmp_path / "source").rename(tmp_path / "elsewhere")
    assert apply(target, [Decision("a/0.png", "accept")]) == 1
    assert rows(target)["a/0.png"]["review"] == "accept"


def test_records_that_a_killed_run_left_behind_are_written_again(target):
    with Manifest(target) as manifest:
        manifest.mark_records_stale()
    (target / "metadata.jsonl").write_text("")
    apply(target, [Decision("a/0.png", "accept")])
    assert {name: row["review"] for name, row in rows(target).items()} == {
        "2.png": None, "a/0.png": "accept", "a/1.png": None,
    }  # fmt: skip
