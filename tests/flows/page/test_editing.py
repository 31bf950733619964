"""Masks edited and originals kept on the page, in a real browser: by mouse, by keys alone, by touch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.formats.encoding import encode_image
from flows.formats.mask_files import decode_mask, encode_mask
from flows.formats.pictures import decode
from flows.page import report
from flows.records import card as cards
from flows.review.decisions import apply, read_decisions
from flows.review.redo import redo
from flows.run import run
from tests.flows.browser import Reader
from tests.flows.page.test_browser import many
from tests.flows.small import small

WIDTH, HEIGHT = 240, 160
LEFT, RIGHT = (60, 80), (180, 80)  # the middles of two discs of radius 15, which are masked


def discs() -> np.ndarray:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return ((x - LEFT[0]) ** 2 + (y - LEFT[1]) ** 2 < 225) | ((x - RIGHT[0]) ** 2 + (y - RIGHT[1]) ** 2 < 225)


@pytest.fixture
def job(tmp_path):
    """A job over two pictures of grey, each with two green discs under its mask."""
    for place in ("in", "masks"):
        (tmp_path / place).mkdir()
    for name in ("a.png", "b.png"):
        image = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
        image[discs()] = (20, 160, 40)
        (tmp_path / "in" / name).write_bytes(encode_image(image))
        (tmp_path / "masks" / f"{name}.png").write_bytes(encode_mask(discs()))
    return small(tmp_path, 0)


@pytest.fixture
def target(job, tmp_path) -> Path:
    run(job)
    return tmp_path / "out"


def editing(page: Reader, name: str = "a.png") -> None:
    """Open the editor of a mask, with everything in it loaded."""
    page.card(name).locator("h2").click()
    page.press("e")
    page.tab.locator("#stage .layer.mask canvas").wait_for()
    page.tab.locator("#stage img").evaluate_all("images => Promise.all(images.map((image) => image.decode()))")


def on_screen(page: Reader, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the picture is on the screen, in the zoom."""
    box = page.tab.locator("#stage .view").bounding_box()
    return box["x"] + (x + 0.5) / WIDTH * box["width"], box["y"] + (y + 0.5) / HEIGHT * box["height"]


def drag(page: Reader, *places: tuple[float, float]) -> None:
    page.tab.mouse.move(*on_screen(page, *places[0]))
    page.tab.mouse.down()
    for place in places[1:]:
        page.tab.mouse.move(*on_screen(page, *place), steps=4)
    page.tab.mouse.up()


def is_pink(page: Reader, x: float, y: float) -> bool:
    """True if the mask is shown at a pixel of the picture."""
    page.tab.mouse.move(1, 1)  # the ring of the brush away
    left, top = on_screen(page, x, y)
    clip = {"x": left, "y": top, "width": 1, "height": 1}
    red, green, blue = (int(level) for level in decode(page.tab.screenshot(clip=clip)).image[0, 0])
    return red > 150 and green < 110 and blue > 60


def lines_of(page: Reader) -> list[dict[str, Any]]:
    return [json.loads(line) for line in page.download_closed().splitlines()]


def taken_in(target: Path, lines: list[dict]) -> np.ndarray:
    """The mask of a.png once these decisions are applied."""
    assert apply(target, read_decisions("".join(json.dumps(line) + "\n" for line in lines))) == len(lines)
    return decode_mask((target / "masks/a.png.png").read_bytes())


def test_a_brush_adds_to_the_mask_and_the_picture_is_rejected_to_be_done_again(target, reading):
    page = reading(target / "report.html")
    editing(page)
    assert not is_pink(page, 120, 30)
    drag(page, (100, 30), (140, 30))
    assert is_pink(page, 120, 30)
    (line,) = lines_of(page)
    assert line["review"] == "reject"
    (edit,) = line["mask"]
    assert edit["radius"] == 5
    assert np.abs(np.array([edit["brush"][0], edit["brush"][-1]]) - [[100, 30], [140, 30]]).max() <= 2
    mask = taken_in(target, [line])
    assert mask[28:32, 100:140].all()
    assert (mask[60:] == discs()[60:]).all()
    assert redo(target).done == {"removed": 1}
    assert {row["source"]: row["segmenter"] for row in cards.read_rows(target)}["a.png"] == "by hand"


def test_the_eraser_takes_from_it_as_a_brush_with_shift_does(target, reading):
    page = reading(target / "report.html")
    editing(page)
    page.press("2")
    drag(page, (50, 80), (70, 80))
    page.press("1")
    page.tab.keyboard.down("Shift")
    drag(page, (170, 80), (190, 80))
    page.tab.keyboard.up("Shift")
    assert not is_pink(page, *LEFT)
    assert not is_pink(page, *RIGHT)
    assert is_pink(page, LEFT[0], LEFT[1] + 11)
    (line,) = lines_of(page)
    assert [edit["erase"] for edit in line["mask"]] == [True, True]
    mask = taken_in(target, [line])
    assert not mask[80, 50:71].any()
    assert not mask[80, 170:191].any()
    assert mask[91, 60]


def test_a_region_goes_or_stays_whole(target, reading):
    page = reading(target / "report.html")
    editing(page)
    page.tab.get_by_role("button", name="+ Region").click()
    drag(page, (139, 29), (100, 10))
    page.tab.get_by_role("button", name="− Region").click()
    drag(page, (160, 60), (180, 100))
    assert is_pink(page, 110, 20)
    assert not is_pink(page, 172, 80)
    assert is_pink(page, 188, 80)
    mask = taken_in(target, lines_of(page))
    assert mask[12:28, 102:138].all()
    assert not mask[:, 162:179].any()
    assert mask[80, 188]


def test_a_found_object_is_clicked_off_singly_and_undone(target, reading):
    page = reading(target / "report.html")
    editing(page)
    page.press("5")
    page.tab.mouse.click(*on_screen(page, *LEFT))
    assert not is_pink(page, LEFT[0] + 8, LEFT[1])  # beside the cross
    assert is_pink(page, *RIGHT)
    page.tab.get_by_role("button", name="Undo").click()
    assert is_pink(page, *LEFT)
    page.tab.mouse.click(*on_screen(page, 120, 20))
    assert page.tab.locator("#pick-tools .marks").inner_text() == "There is no part of the mask there."
    page.tab.mouse.click(*on_screen(page, RIGHT[0] + 18, RIGHT[1]))  # beside it, as a finger does
    mask = taken_in(target, lines_of(page))
    assert mask[:, :120].any()
    assert not mask[:, 120:].any()


def test_a_keyboard_alone_edits_a_mask_with_every_tool(target, reading):
    page = reading(target / "report.html")
    page.tab.locator("#cards").focus()
    page.find("a.png")
    page.press("e", "ArrowUp", "]", "Enter", "ArrowLeft", "ArrowLeft", "Enter")
    page.press("3", "ArrowRight", "Enter", "ArrowRight", "ArrowDown", "Enter")
    page.press("4", "Enter", "Shift+ArrowLeft", "Enter", "u")
    page.press("5", *["ArrowRight"] * 13, "Enter")
    page.press("2", "Enter", "Enter", "Backspace")
    (line,) = lines_of(page)
    assert line["mask"] == [
        {"brush": [[120, 75], [115, 75], [110, 75]], "radius": 6},
        {"region": [115, 75, 121, 81]},
        {"object": line["mask"][2]["object"]},
    ]
    mask = taken_in(target, [line])
    assert mask[72:79, 108:120].all()
    assert mask[70:90, 50:70].all()
    assert not mask[:, 160:].any()


def test_the_pointer_is_seen_with_every_tool(target, reading):
    page = reading(target / "report.html")
    editing(page)
    view, ring = page.tab.locator("#stage .view"), page.tab.locator("#stage svg .ring")
    for key in "12345":
        page.press(key)
        page.tab.mouse.move(*on_screen(page, 100, 40 + int(key)))
        hidden = view.evaluate("view => getComputedStyle(view).cursor") == "none"
        assert ring.count() == int(hidden), key
        assert hidden == (key in "12")


def test_the_cross_hair_stays_in_sight_of_an_enlarged_picture(target, browser):
    page = Reader(browser, target / "report.html", viewport={"width": 390, "height": 500})
    editing(page)
    page.press("+", "+", "+", *["ArrowRight"] * 20, *["ArrowDown"] * 14)
    stage, cross = page.tab.locator("#stage").bounding_box(), page.tab.locator("#stage svg .cursor").bounding_box()
    assert stage["x"] <= cross["x"]
    assert cross["x"] + cross["width"] <= stage["x"] + stage["width"] + 1
    assert cross["y"] + cross["height"] <= stage["y"] + stage["height"] + 1
    page.close()


def test_edits_survive_a_reload_and_0_takes_all_of_them_back(target, reading):
    page = reading(target / "report.html")
    editing(page)
    drag(page, (100, 30), (140, 30))
    page.press("Escape")
    assert page.card("a.png").get_by_role("button", name="Edit (1)").is_visible()
    assert page.card("a.png").locator(".view.masked canvas").is_visible()
    page.tab.reload()
    page.tab.wait_for_selector("body[data-taken]")
    editing(page)
    assert is_pink(page, 120, 30)
    page.press("0")
    assert not is_pink(page, 120, 30)
    assert is_pink(page, *LEFT)
    page.press("Escape")
    assert page.card("a.png").get_attribute("data-review") == ""
    assert page.tab.locator("#save").is_disabled()


def test_somebody_elses_browser_shows_the_edits_that_a_target_has(target, reading):
    apply(
        target, read_decisions(json.dumps({"file_name": "a.png", "review": "reject", "mask": [{"object": [60, 80]}]}))
    )
    page = reading(report.rewrite(target))
    editing(page)
    assert not is_pink(page, LEFT[0] + 8, LEFT[1])
    assert is_pink(page, *RIGHT)
    page.press("0")
    (line,) = lines_of(page)
    assert (taken_in(target, [line]) == discs()).all()


def test_masks_that_wait_are_edited_without_a_word_on_the_result(job, tmp_path, reading):
    run(job, masks_only=True)
    page = reading(tmp_path / "out" / "report.html")
    editing(page)
    drag(page, (100, 30), (140, 30))
    (line,) = lines_of(page)
    assert line["review"] is None
    assert taken_in(tmp_path / "out", [line])[30, 120]
    assert run(job).done == {"removed": 2}


def test_what_was_picked_is_not_edited_nor_the_other_way_round(target, reading):
    page = reading(target / "report.html")
    editing(page)
    page.press("p", "ArrowRight", "Enter", "e")
    drag(page, (100, 30), (140, 30))
    assert "Clear them (p) to edit the mask" in page.tab.locator("#pick-tools .marks").inner_text()
    page.press("p", "u", "e")
    drag(page, (100, 30), (140, 30))
    page.press("p")
    page.tab.mouse.click(*on_screen(page, 20, 20))
    assert "The mask is edited here" in page.tab.locator("#pick-tools .marks").inner_text()
    (line,) = lines_of(page)
    assert "points" not in line
    assert len(line["mask"]) == 1


def test_a_finger_draws_on_a_phone(target, browser):
    page = Reader(
        browser, target / "report.html", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    page.card("a.png").get_by_role("button", name="Edit").tap()
    page.tab.locator("#stage .layer.mask canvas").wait_for()
    fingers = page.context.new_cdp_session(page.tab)
    for kind, places in (("Start", [(100, 30)]), ("Move", [(115, 30)]), ("Move", [(140, 30)]), ("End", [])):
        points = [dict(zip("xy", on_screen(page, *place), strict=True)) for place in places]
        fingers.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
    assert page.tab.get_by_role("button", name="Undo").is_enabled()
    page.tab.get_by_role("button", name="close").tap()
    mask = taken_in(target, [json.loads(line) for line in page.download().splitlines()])
    assert mask[30, 102:138].all()
    assert page.tab.evaluate("document.documentElement.scrollWidth") == 390
    assert page.complaints == []
    page.close()


def test_o_keeps_the_original_and_again_takes_that_back(target, reading, tmp_path):
    page = reading(target / "report.html")
    page.tab.locator("#cards").focus()
    page.press("o", "r", "r")  # the second is rejected, and that taken back
    assert "0 accepted, 0 rejected, 1 kept as it was of 2" in page.tab.locator("#progress").inner_text()
    card = page.card(page.names()[0])
    assert card.locator(".decision").inner_text() == "original kept"
    assert card.locator(".view").get_attribute("data-cut") == "100"  # before alone
    (line,) = map(json.loads, page.download().splitlines())
    assert line["review"] == "keep"
    apply(target, read_decisions(json.dumps(line)))
    name = line["file_name"]
    assert (target / "images" / name).read_bytes() == (tmp_path / "in" / name).read_bytes()
    again = reading(report.rewrite(target))
    assert "1 kept as it was of 2" in again.tab.locator("#progress").inner_text()
    again.tab.select_option("#by-review", "keep")
    assert again.names() == [name]
    again.card(name).get_by_role("button", name="Keep original").click()
    (line,) = map(json.loads, again.download().splitlines())
    assert line["review"] is None
    apply(target, read_decisions(json.dumps(line)))
    assert {row["source"]: row["status"] for row in cards.read_rows(target)}[name] == "removed"


def test_every_key_of_the_editor_is_in_the_list_of_keys(target, reading):
    page = reading(target / "report.html")
    page.press("?")
    said = page.tab.locator("#help").inner_text()
    for words in (
        "edit the mask",
        "brush, eraser; Shift swaps",
        "a region that goes, or stays",
        "click a found object off",
    ):
        assert words in said
    for words in ("smaller or larger brush", "undo everything", "keep the original", "all masks of this page"):
        assert words in said


def test_of_a_page_with_many_rows_an_object_is_crossed_out_and_its_shape_is_left_to_the_server(reading, tmp_path):
    (tmp_path / "out").mkdir()
    target, rows = many(tmp_path / "out", 501)  # whose thumbnails lie beside the page
    page = reading(report.write(target, rows))
    page.find("/00001.png")
    page.press("e", "5", "Enter")
    assert page.tab.locator("#stage svg .off").count() == 1
    assert "cleanplate review --serve" in page.tab.locator("#pick-tools .marks").inner_text()
    page.press("1", "Enter", "Enter")
    (line,) = lines_of(page)
    assert [*line["mask"][0]] == ["object"]
    assert [*line["mask"][1]] == ["brush", "radius"]
    page.complaints.clear()  # there are no pictures behind these rows


@pytest.mark.slow
def test_masks_are_edited_among_ten_thousand_rows(reading, tmp_path):
    (tmp_path / "out").mkdir()
    target, rows = many(tmp_path / "out", 10_000)
    page = reading(report.write(target, rows))
    for name in ("00001", "09999"):
        page.find(f"/{name}.png")
        page.press("e", "Enter", "ArrowRight", "ArrowRight", "Enter", "Escape")
    page.find("/00002.png")
    page.press("o")
    page.tab.reload()
    page.tab.wait_for_selector('body[data-taken="10000"]')
    assert "0 accepted, 2 rejected, 1 kept as it was of 10,000" in page.tab.locator("#progress").inner_text()
    lines = [json.loads(line) for line in page.download().splitlines()]
    assert sorted(line["file_name"] for line in lines if line.get("mask")) == ["part 1/00001.png", "part 3/09999.png"]
    page.complaints.clear()
