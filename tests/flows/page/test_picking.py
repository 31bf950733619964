"""Points and boxes that are clicked on the page: in pixels of the upright picture, and as a run takes them."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from flows.formats.pictures import decode
from flows.page import pick as picking
from flows.requests.job_requests import read_prompts

WIDTH, HEIGHT = 600, 400
SPOT = (450, 90)  # of the upright picture, x and y, inside a red square of 21 pixels


@pytest.fixture
def source(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def upright() -> np.ndarray:
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    image[SPOT[1] - 10 : SPOT[1] + 11, SPOT[0] - 10 : SPOT[0] + 11] = (255, 0, 0)
    return image


def put(source, name: str, orientation: int = 1) -> None:
    """The picture with the square, stored as a camera that was held so would."""
    turned = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    image, way = Image.fromarray(upright()), turned[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = image.transpose(way) if way is not None else image
    stored.save(source / name, exif=exif, **({"quality": 95} if name.endswith("jpg") else {}))
    assert np.abs(decode((source / name).read_bytes()).image.astype(int) - upright()).mean() < 3


def page_of(source, **options):
    to = source.parent / "pick"
    return picking.write(str(source), to, to / "prompts.jsonl", options.get("say", print))


def red_on(screen: bytes) -> tuple[float, float, float, float]:
    """The middle of the red square on the screen, and its size there, in screen pixels."""
    image = np.asarray(Image.open(io.BytesIO(screen)).convert("RGB")).astype(int)
    red = (image[..., 0] > 180) & (image[..., 1] < 90) & (image[..., 2] < 90)
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    return (columns[0] + columns[-1]) / 2, (rows[0] + rows[-1]) / 2, np.ptp(columns) + 1, np.ptp(rows) + 1


def on_screen(page) -> tuple[float, float, float, float]:
    page.tab.locator("#stage img").last.evaluate("image => image.decode()")
    return red_on(page.tab.screenshot())


@pytest.mark.parametrize(
    ("name", "orientation"),
    [("a.jpg", 1), ("a.jpg", 3), ("a.jpg", 6), ("a.jpg", 8), ("a.png", 6), ("a.webp", 6), ("a.tif", 6)],
)
@pytest.mark.parametrize("window", [(1100, 800), (390, 700)], ids=["enlarged", "reduced"])
def test_a_click_is_the_pixel_of_the_upright_picture(source, reading, name, orientation, window):
    put(source, name, orientation)
    page = reading(page_of(source), viewport={"width": window[0], "height": window[1]})
    page.tab.get_by_role("button", name="Pick").click()
    x, y, *_ = on_screen(page)
    page.tab.mouse.click(x, y)
    (line,) = map(json.loads, page.download_closed().splitlines())
    ((left, top, label),) = line["points"]
    assert abs(left - SPOT[0]) <= 2
    assert abs(top - SPOT[1]) <= 2
    assert label == 1


def test_shift_marks_what_is_beside_it_and_a_drag_is_a_box(source, reading):
    put(source, "a.jpg")
    page = reading(page_of(source))
    page.tab.get_by_role("button", name="Pick").click()
    x, y, width, height = on_screen(page)
    page.tab.mouse.click(x, y)
    page.tab.keyboard.down("Shift")
    page.tab.mouse.click(x - 200, y)
    page.tab.keyboard.up("Shift")
    page.tab.mouse.move(x + width, y + height)
    page.tab.mouse.down()
    page.tab.mouse.move(x, y)
    page.tab.mouse.move(x - width, y - height)  # from the lower right, as well
    page.tab.mouse.up()
    (line,) = map(json.loads, page.download_closed().splitlines())
    assert [label for *_, label in line["points"]] == [1, 0]
    ((left, top, right, bottom),) = line["boxes"]
    assert (
        np.abs(np.array([left, top, right, bottom]) - [SPOT[0] - 21, SPOT[1] - 21, SPOT[0] + 22, SPOT[1] + 22]).max()
        <= 2
    )


def test_the_last_mark_is_taken_back(source, reading):
    put(source, "a.jpg")
    page = reading(page_of(source))
    page.tab.get_by_role("button", name="Pick").click()
    x, y, *_ = on_screen(page)
    page.tab.mouse.click(x, y)
    page.tab.mouse.click(x - 100, y)
    page.press("u")
    assert page.tab.locator("#stage circle").count() == 1
    page.tab.get_by_role("button", name="Undo").click()
    assert page.tab.locator("#stage circle").count() == 0
    page.press("Escape")
    assert page.tab.locator("#save").is_disabled()


def test_a_keyboard_alone_marks_points_and_boxes(source, reading):
    put(source, "a.jpg")
    page = reading(page_of(source))
    page.tab.locator("#cards").focus()
    page.press("p", "ArrowRight", "Shift+ArrowRight", "Enter", "ArrowDown", "Shift+Enter")
    page.press("b", "ArrowDown", "ArrowLeft", "b")
    (line,) = map(json.loads, page.download_closed().splitlines())
    assert line["points"] == [[300 + 12 + 1, 200, 1], [313, 212, 0]]
    assert line["boxes"] == [[301, 212, 314, 225]]


def test_what_was_picked_is_a_prompts_file_and_the_page_goes_on_from_it(source, reading, tmp_path):
    for name in ("a.jpg", "b's <i>.jpg"):
        put(source, name)
    page = reading(page_of(source))
    page.tab.locator(".note").nth(1).fill("red ball; blue cone")
    page.tab.locator(".note").nth(1).press("Enter")
    page.tab.locator(".card").nth(0).focus()
    page.press("p", "ArrowRight", "Enter")
    given = page.download_closed()
    (tmp_path / "pick" / "prompts.jsonl").write_text(given)
    prompts = read_prompts(tmp_path / "pick" / "prompts.jsonl")
    assert prompts["a.jpg"].points == ((312, 200, 1),)
    assert prompts["b's <i>.jpg"].texts == ("red ball", "blue cone")
    again = reading(page_of(source))  # of somebody else, whose browser knows of nothing
    assert again.tab.locator("#progress").inner_text() == "2 of 2 pictures have prompts"
    assert again.tab.locator("#save").is_enabled()
    assert sorted(again.download().splitlines()) == sorted(given.splitlines())


def test_the_page_is_never_written_into_the_source(source):
    put(source, "a.jpg")
    with pytest.raises(ValueError, match="overlap"):
        picking.write(str(source), source / "pick", source / "prompts.jsonl", print)
    assert [file.name for file in source.iterdir()] == ["a.jpg"]


def test_a_line_replaces_what_was_asked_of_its_picture_and_a_bare_one_takes_it_back(tmp_path):
    file = tmp_path / "prompts.jsonl"
    picking.take(file, '{"file_name": "a", "points": [[1, 2, 1]]}\n{"file_name": "b", "text": "dog"}\n')
    picking.take(file, '{"file_name": "a", "boxes": [[1, 2, 3, 4]]}\n')
    rows = read_prompts(file)
    assert (rows["a"].points, rows["a"].boxes, rows["b"].texts) == ((), ((1, 2, 3, 4),), ("dog",))
    picking.take(file, '{"file_name": "b"}\n')
    assert [json.loads(line)["file_name"] for line in file.read_text().splitlines()] == ["a"]


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"file_name": 1}', '{"file_name": "a", "points": "x"}', '{"file_name": "a", "text": 3}']
)
def test_lines_that_are_no_prompts_are_refused_with_their_number_and_change_nothing(tmp_path, line):
    with pytest.raises(ValueError, match="prompts, line 2"):
        picking.take(tmp_path / "prompts.jsonl", f'{{"file_name": "b", "text": "dog"}}\n{line}\n')
    assert not (tmp_path / "prompts.jsonl").exists()
