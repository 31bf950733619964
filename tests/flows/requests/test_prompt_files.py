"""What to find in which picture."""

import json

import pytest

from flows.errors import UsageError
from flows.job import Job
from flows.requests.job_requests import read_requests, without_a_partner
from flows.requests.prompt_rows import read_prompts
from flows.requests.request import Request
from masks import BoxPrompt, PointPrompt, TextPrompt


def requests(tmp_path, lines: str, **settings):
    (tmp_path / "prompts.jsonl").write_text(lines)
    return read_requests(Job(prompts=str(tmp_path / "prompts.jsonl"), **settings))


def test_a_row_may_hold_text_points_and_boxes(tmp_path):
    row = {"file_name": "a/b.jpg", "text": "dog", "points": [[1, 2, 1], [3, 4, 0]], "boxes": [[1, 2, 3, 4]], "x": 1}
    assert requests(tmp_path, json.dumps(row)).of("a/b.jpg").prompts == [
        TextPrompt("dog"),
        PointPrompt(((1, 2, 1), (3, 4, 0))),
        BoxPrompt((1, 2, 3, 4)),
    ]


def test_phrases_may_have_thresholds_of_their_own(tmp_path):
    row = {"file_name": "a.png", "text": ["dog", "red ball", "cat@0.7"], "thresholds": [0.4, None, None]}
    asked = [TextPrompt("dog", 0.4), TextPrompt("red ball"), TextPrompt("cat", 0.7)]
    assert requests(tmp_path, json.dumps(row)).of("a.png").prompts == asked
    assert requests(tmp_path, "", text=["dog@0.4", "red ball"]).of("a.png").prompts == asked[:2]


def test_pictures_without_a_row_get_the_jobs_own_prompt(tmp_path):
    found = requests(tmp_path, '{"file_name": "a.png", "text": "dog"}', text="cat")
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
        requests(tmp_path, '{"file_name": "ok.png", "text": "dog"}\n' + line)


def test_rows_for_files_that_are_not_there_are_reported_with_their_line(tmp_path):
    found = requests(tmp_path, '{"file_name": "a.png", "text": "dog"}\n{"file_name": "b.png", "text": "dog"}')
    assert without_a_partner(found.among(lambda: ["a.png"])) == ["prompts, line 2: there is no picture 'b.png'"]


def test_rows_for_one_picture_add_up(tmp_path):
    file = tmp_path / "p.jsonl"
    file.write_text('{"file_name": "a.png", "text": "dog"}\n{"file_name": "a.png", "text": "cat"}')
    assert read_prompts(file)["a.png"].texts == ("dog", "cat")


def test_flags_become_prompts():
    found = read_requests(Job(text=["dog", "cat"], point=["1,2", "3,4,-"], box=["1,2,3,4"])).all
    assert found.texts == ("dog", "cat")
    assert found.points == ((1, 2, 1), (3, 4, 0))
    assert found.boxes == ((1, 2, 3, 4),)


def test_a_job_that_does_not_say_what_to_remove_is_refused():
    with pytest.raises(ValueError, match="say what to remove"):
        read_requests(Job())


@pytest.mark.parametrize("name", ["a/x.png", "a/x.JPG", "a/x.jpg.png", "a/x.webp"])
def test_a_mask_has_the_pictures_path_with_any_suffix(tmp_path, name):
    (tmp_path / "a").mkdir()
    (tmp_path / name).write_bytes(b"x")
    (tmp_path / "a" / "other.png").write_bytes(b"x")
    found = read_requests(Job(masks=str(tmp_path)))
    assert found.of("a/x.jpg").masks == (tmp_path / name,)
    assert found.of("b/x.jpg") == Request()


def test_pictures_without_a_mask_are_counted(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    found = read_requests(Job(masks=str(tmp_path)))
    both = found.among(lambda: ["a.png", "b.png"])
    assert without_a_partner(both) == [f"no mask for 1 of 2 pictures in {tmp_path}"]


def test_a_prompts_file_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "p.jsonl").write_bytes(b"\xef\xbb\xbf" + b'{"file_name": "a.png", "text": "dog"}')
    assert set(read_prompts(tmp_path / "p.jsonl")) == {"a.png"}


def test_a_mask_is_the_same_wish_by_its_whole_path_and_by_a_relative_one(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    relative, whole = (read_requests(Job(masks=place)).of("a.png").key for place in (".", str(tmp_path)))
    assert relative == whole


def test_a_key_changes_with_the_wish_and_with_the_masks_bytes(tmp_path):
    mask = tmp_path / "m.png"
    mask.write_bytes(b"one")
    first = Request(masks=(mask,)).key
    assert first == Request(masks=(mask,)).key
    mask.write_bytes(b"other")
    assert Request(masks=(mask,)).key != first
    assert Request(("dog",)).key != Request(("cat",)).key != Request(points=((1, 2, 1),)).key


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"file_name": "a.png"}', "line 2: it asks for nothing"),
        ('{"file_name": "a.png", "text": "", "points": [], "boxes": null}', "line 2: it asks for nothing"),
        ('{"file_name": "a.png", "point": [1, 2]}', 'line 2: "point" is not read; did you mean "points"'),
        ('{"file_name": "a.png", "text": "dog", "threshold": 0.4}', 'line 2: "threshold" is not read'),
        ('{"file_name": "a.png", "text": "dog", "box": [1, 2, 30, 40]}', 'line 2: "box" is not read'),
        ('{"file_name": "a.png", "boxes": [[0.1, 0.2, 0.5, 0.9]]}', "line 2: box 0.1,0.2,0.5,0.9 is narrower than a"),
        ('{"file_name": "a.png", "boxes": [[5, 2, 5.5, 90]]}', "line 2: box 5,2,5.5,90 is narrower than a pixel"),
        ('{"file_name": "a.png", "points": [[0.4, 0.6, 1]]}', "line 2: point 0.4,0.6 is given in shares"),
        ('{"file_name": "a.png", "points": [[NaN, 5]]}', 'line 2: "points" holds lists of numbers'),
        ('{"file_name": "a.png", "points": [[1, 5, NaN]]}', 'line 2: "points" holds lists of numbers'),
        ('{"file_name": "a.png", "boxes": [[1, 5, 9, Infinity]]}', 'line 2: "boxes" holds lists of numbers'),
        ('{"file_name": "a.png", "boxes": [[1, 5, 9, 1e999]]}', 'line 2: "boxes" holds lists of numbers'),
        ('{"file_name": "a.png", "text": ["a"], "thresholds": [NaN]}', "line 2: a threshold lies between 0 and 1"),
        ('{"file_name": "a.png", "text": ["a"], "thresholds": [Infinity]}', "line 2: a threshold lies between 0 and 1"),
    ],
)
def test_a_row_that_would_remove_something_else_is_refused_with_its_line(tmp_path, line, complaint):
    with pytest.raises(ValueError, match=complaint):
        requests(tmp_path, '{"file_name": "ok.png", "text": "dog"}\n' + line)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(("point", value) for value in ("nan,5", "5,inf", "-inf,5,-", "1e999,5", "1e7,5", "0.4,0.5")),
        *(("box", value) for value in ("nan,1,5,6", "1,1,inf,6", "-inf,-inf,inf,inf", "0.1,0.1,0.9,0.9", "1,1,90,1.5")),
        *((name, float("nan")) for name in ("threshold", "max_area", "min_area", "strength", "guidance", "context")),
        *((name, float("inf")) for name in ("hang_timeout", "guidance")),
    ],
)
def test_a_job_takes_no_number_that_no_picture_has(setting, value):
    with pytest.raises(ValueError, match=r"a point is|a box is|finite number|greater than|less than|pixel"):
        Job(**{setting: [value] if isinstance(value, str) else value, "text": ["dog"]})


def test_prompts_take_no_numbers_that_are_none():
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="a point is"):
            PointPrompt(((wrong, 5, 1),))
        with pytest.raises(ValueError, match="a box is"):
            BoxPrompt((1, 1, wrong, 9))


def test_a_prompts_file_without_rows_says_nothing_of_what_to_remove(tmp_path):
    with pytest.raises(ValueError, match="has no rows"):
        requests(tmp_path, "\n")
    assert requests(tmp_path, "\n", text=["dog"]).of("a.png").texts == ("dog",)


def test_rows_find_their_picture_by_composed_names_and_without_a_dot(tmp_path):
    decomposed, composed = "Cafe\u0301.png", "Caf\u00e9.png"
    found = requests(tmp_path, json.dumps({"file_name": f"./{decomposed}", "text": "dog"})).among(lambda: [composed])
    assert found.of(composed).texts == ("dog",)
    assert without_a_partner(found) == []


def test_where_no_row_is_a_pictures_the_run_is_refused_with_a_name_of_each_side(tmp_path):
    found = requests(tmp_path, '{"file_name": "b.jpg", "text": "dog"}')
    with pytest.raises(UsageError, match=r"none of the 1 pictures.*'b.jpg'.*'a.jpg'"):
        without_a_partner(found.among(lambda: ["a.jpg"]))


def masks_in(place, *files: str) -> None:
    for name in files:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(b"x")


def of(place, name: str, *names: str, **settings) -> set[str]:
    """The masks of a picture among others, as seen from their folder."""
    found = read_requests(Job(masks=str(place), **settings)).among(lambda: [name, *names])
    return {mask.relative_to(place).as_posix() for mask in found.of(name).masks}


def test_several_masks_of_a_picture_make_a_union(tmp_path):
    masks_in(
        tmp_path, "d/a_1.png", "d/a_person.png", "d/a/x.png", "d/a/y.jpg", "d/ab_1.png", "d/a_notes.txt", "a_1.png"
    )
    assert of(tmp_path, "d/a.jpg") == {"d/a_1.png", "d/a_person.png", "d/a/x.png", "d/a/y.jpg"}
    masks_in(tmp_path, "d/a.png")
    assert of(tmp_path, "d/a.jpg") == {"d/a.png", "d/a_1.png", "d/a_person.png", "d/a/x.png", "d/a/y.jpg"}


def test_a_mask_of_a_picture_with_a_longer_name_is_not_that_of_the_shorter(tmp_path):
    masks_in(tmp_path, "a_2.png", "a_2_1.png", "a_3.png", "a_2.jpg.png", "a/x.png")
    assert of(tmp_path, "a.jpg", "a_2.jpg", "a/x.jpg") == {"a_3.png"}
    assert of(tmp_path, "a_2.jpg", "a.jpg") == {"a_2.jpg.png", "a_2_1.png"}
    assert of(tmp_path, "a.jpg", "a_2.jpg", mask_pattern="{stem}_*.png") == {"a_3.png"}


@pytest.mark.parametrize(
    ("pattern", "file"),
    [
        ("{stem}_m*.png", "a_m1.png"),
        ("{stem}/*", "a/1.png"),
        ("mask-{stem}-?.png", "mask-a-1.png"),
        ("{stem}.b[1]", "a.b[1]"),
    ],
)
def test_a_pattern_may_mean_several_files(tmp_path, pattern, file):
    masks_in(tmp_path, file, "mask-ab-1.png", "b/1.png", "z_m1.png")
    assert of(tmp_path, "a.jpg", "ab.jpg", mask_pattern=pattern) == {file}


def test_letters_with_accents_are_compared_composed(tmp_path):
    masks_in(tmp_path, "Cafe\u0301.png", "Cafe\u0301_2.png", "[x]_1.png")
    assert len(of(tmp_path, "Caf\u00e9.jpg")) == 2
    assert of(tmp_path, "[x].jpg") == {"[x]_1.png"}


@pytest.mark.parametrize("pattern", ["", "{stem}-m.png"])
def test_where_no_picture_has_a_mask_the_run_is_refused_with_a_name_of_each_side(tmp_path, pattern):
    masks_in(tmp_path, "deep/label_007.png")
    found = read_requests(Job(masks=str(tmp_path), mask_pattern=pattern)).among(lambda: ["x/a.jpg", "x/b.jpg"])
    with pytest.raises(UsageError, match=r"'x/a.jpg', x/a(.png|-m.png).*'deep/label_007.png'"):
        without_a_partner(found)
