"""What to find in which picture."""

import json

import pytest

from flows.job import Job
from flows.prompt_files import Wanted, read_prompts, read_wishes, without_a_partner
from masks import BoxPrompt, PointPrompt, TextPrompt


def wishes(tmp_path, lines: str, **settings):
    (tmp_path / "prompts.jsonl").write_text(lines)
    return read_wishes(Job(prompts=str(tmp_path / "prompts.jsonl"), **settings))


def test_a_row_may_hold_text_points_and_boxes(tmp_path):
    row = {"file_name": "a/b.jpg", "text": "dog", "points": [[1, 2, 1], [3, 4, 0]], "boxes": [[1, 2, 3, 4]], "x": 1}
    assert wishes(tmp_path, json.dumps(row)).of("a/b.jpg").prompts == [
        TextPrompt("dog"),
        PointPrompt(((1, 2, 1), (3, 4, 0))),
        BoxPrompt((1, 2, 3, 4)),
    ]


def test_phrases_may_have_thresholds_of_their_own(tmp_path):
    row = {"file_name": "a.png", "text": ["dog", "red ball", "cat@0.7"], "thresholds": [0.4, None, None]}
    asked = [TextPrompt("dog", 0.4), TextPrompt("red ball"), TextPrompt("cat", 0.7)]
    assert wishes(tmp_path, json.dumps(row)).of("a.png").prompts == asked
    assert wishes(tmp_path, "", text=["dog@0.4", "red ball"]).of("a.png").prompts == asked[:2]


def test_pictures_without_a_row_get_the_jobs_own_prompt(tmp_path):
    found = wishes(tmp_path, '{"file_name": "a.png", "text": "dog"}', text="cat")
    assert found.of("a.png").texts == ("dog",)
    assert found.of("b.png").texts == ("cat",)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "line 2: not JSON"),
        ("[]", "line 2: a row is an object"),
        ('{"text": "dog"}', "line 2: a row is an object"),
        ('{"file_name": "a.png", "text": ["a", "b"], "thresholds": [0.4]}', 'line 2: "thresholds" is a number'),
        ('{"file_name": "a.png", "text": "a", "thresholds": [1.4]}', "line 2: a threshold lies between 0 and 1"),
        ('{"file_name": "a.png", "text": "a", "thresholds": 0.4}', 'line 2: "thresholds" is a list'),
        ('{"file_name": "a.png", "points": [[1, 2, 7]]}', "line 2: a point is x, y"),
        ('{"file_name": "a.png", "points": [[1, 2, 0]]}', "line 2: a point prompt needs"),
        ('{"file_name": "a.png", "boxes": [[9, 2, 3, 4]]}', "line 2: a box is left"),
        ('{"file_name": "a.png", "text": " "}', "line 2: a text prompt needs"),
        ('{"file_name": "a.png", "text": ["dog", 3]}', 'line 2: "text" is a phrase'),
        ('{"file_name": "a.png", "points": [["1", 2]]}', 'line 2: "points" holds lists of numbers'),
        ('{"file_name": "a.png", "points": 5}', 'line 2: "points" is a list'),
    ],
)
def test_a_malformed_row_is_reported_with_its_line(tmp_path, line, complaint):
    with pytest.raises(ValueError, match=complaint):
        wishes(tmp_path, '{"file_name": "ok.png", "text": "dog"}\n' + line)


def test_rows_for_files_that_are_not_there_are_reported_with_their_line(tmp_path):
    found = wishes(tmp_path, '{"file_name": "a.png", "text": "dog"}\n{"file_name": "b.png", "text": "dog"}')
    assert without_a_partner(found, ["a.png"]) == ["prompts, line 2: there is no picture 'b.png'"]


def test_rows_for_one_picture_add_up(tmp_path):
    file = tmp_path / "p.jsonl"
    file.write_text('{"file_name": "a.png", "text": "dog"}\n{"file_name": "a.png", "text": "cat"}')
    assert read_prompts(file)["a.png"].texts == ("dog", "cat")


def test_flags_become_prompts():
    found = read_wishes(Job(text=["dog", "cat"], point=["1,2", "3,4,-"], box=["1,2,3,4"])).all
    assert found.texts == ("dog", "cat")
    assert found.points == ((1, 2, 1), (3, 4, 0))
    assert found.boxes == ((1, 2, 3, 4),)


def test_a_job_that_does_not_say_what_to_remove_is_refused():
    with pytest.raises(ValueError, match="say what to remove"):
        read_wishes(Job())


@pytest.mark.parametrize("name", ["a/x.png", "a/x.JPG", "a/x.jpg.png", "a/x.webp"])
def test_a_mask_has_the_pictures_path_with_any_suffix(tmp_path, name):
    (tmp_path / "a").mkdir()
    (tmp_path / name).write_bytes(b"x")
    (tmp_path / "a" / "other.png").write_bytes(b"x")
    found = read_wishes(Job(masks=str(tmp_path)))
    assert found.of("a/x.jpg").mask == tmp_path / name
    assert found.of("b/x.jpg") == Wanted()


def test_pictures_without_a_mask_are_counted(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    found = read_wishes(Job(masks=str(tmp_path)))
    assert without_a_partner(found, ["a.png", "b.png"]) == [f"1 of 2 pictures have no mask in {tmp_path}"]


def test_a_prompts_file_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "p.jsonl").write_bytes(b"\xef\xbb\xbf" + b'{"file_name": "a.png", "text": "dog"}')
    assert set(read_prompts(tmp_path / "p.jsonl")) == {"a.png"}


def test_a_mask_is_the_same_wish_by_its_whole_path_and_by_a_relative_one(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    relative, whole = (read_wishes(Job(masks=place)).of("a.png").key for place in (".", str(tmp_path)))
    assert relative == whole


def test_a_key_changes_with_the_wish_and_with_the_masks_bytes(tmp_path):
    mask = tmp_path / "m.png"
    mask.write_bytes(b"one")
    first = Wanted(mask=mask).key
    assert first == Wanted(mask=mask).key
    mask.write_bytes(b"other")
    assert Wanted(mask=mask).key != first
    assert Wanted(("dog",)).key != Wanted(("cat",)).key != Wanted(points=((1, 2, 1),)).key
