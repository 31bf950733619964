"""The review page in a real browser: seen, decided by keyboard, kept, taken in."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from flows import cards, decisions, review
from flows.encoding import encode_image
from flows.job import run
from flows.mask_files import encode_mask
from flows.settings import Job
from tests.flows.browser import Reader

ODD = 'odd/"quo\'ted" & <script>alert(1)<b>.png'
LINES = "odd/two\nlines.png"
BYTES = os.fsdecode(b"odd/byte\xff.png")
WIDTH, HEIGHT = 240, 160
BALL = (150, 60, 20)  # x, y, radius


def drawn(background: int) -> np.ndarray:
    """A picture with a red ball, and a ramp by which every place can be told."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    image = np.stack([np.full_like(x, background), x % 200, y], axis=-1).astype(np.uint8)
    image[_ball()] = (250, 20, 20)
    return image


def _ball() -> np.ndarray:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return (x - BALL[0]) ** 2 + (y - BALL[1]) ** 2 < BALL[2] ** 2


@pytest.fixture
def source(tmp_path):
    """Eight pictures: plain, oddly named, in folders, one broken, one in which nothing is masked."""
    names = ["plain.png", "a/one.png", "a/b/two.jpg", ODD, LINES, BYTES, "empty.png"]
    for number, name in enumerate(names):
        picture, mask = tmp_path / "in" / name, tmp_path / "masks" / f"{name}.png"
        for place in (picture, mask):
            place.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(encode_image(drawn(number * 20), "JPEG" if name.endswith("jpg") else "PNG"))
        mask.write_bytes(encode_mask(_ball() & (name != "empty.png")))
    (tmp_path / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return tmp_path / "in"


@pytest.fixture
def result(source, tmp_path):
    run(
        Job(
            source=str(source),
            target=str(tmp_path / "out"),
            masks=str(tmp_path / "masks"),
            model="bundled",
            method="telea",
        )
    )
    return tmp_path / "out"


def rows_of(target) -> dict[str, dict]:
    return {row["source"]: row for row in cards.read_rows(target)}


def test_every_picture_is_on_the_page_and_failures_come_first(result, reading):
    page = reading(result / "report.html")
    assert page.names()[0] == "broken.png"
    assert len(page.names()) == 8
    assert page.tab.locator("#states").inner_text().split("\n")[0].startswith("all 8")
    shown = page.card("broken.png").inner_text()
    assert rows_of(result)["broken.png"]["reason"] in shown
    assert "removed" in page.card("plain.png").inner_text()


def test_names_are_shown_as_they_are_and_run_nothing(result, reading):
    page = reading(result / "report.html")
    alerts = []
    page.tab.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    assert page.card(ODD).count() == 1
    assert page.card("odd/two↵lines.png").count() == 1
    assert page.card("odd/byte\\udcff.png").count() == 1
    page.card(ODD).locator("h2").click()
    page.press("z", "Escape")
    assert alerts == []
    assert page.tab.locator("main script, main b b").count() == 0


@pytest.mark.parametrize("name", ["plain.png", ODD, LINES, BYTES])
def test_the_zoom_loads_the_picture_itself(result, reading, name):
    page = reading(result / "report.html")
    page.tab.locator(".card").nth(index_of(page, name)).get_by_role("button", name="Zoom").click()
    image = page.tab.locator("#stage .layer.after img")
    image.evaluate("image => image.decode()")
    assert image.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [WIDTH, HEIGHT]
    assert page.asked[-1].startswith((result / "images").as_uri())


def index_of(page: Reader, name: str) -> int:
    """Where the card of a picture is, whatever is spelled out in its heading."""
    return page.tab.evaluate("name => rows.findIndex((row) => row.source === name)", json.loads(json.dumps(name)))


def test_the_slider_uncovers_what_was_there_by_mouse_and_by_keys(result, reading):
    page = reading(result / "report.html")
    view = page.card("plain.png").locator(".view")
    slider = view.get_by_role("slider")
    assert slider.input_value() == "50"
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    page.tab.mouse.click(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2)
    assert 85 <= int(slider.input_value()) <= 95
    assert is_red(colour_in(page, view, *BALL[:2]))  # left of the slider now: before
    slider.focus()
    page.press("Home")
    assert slider.input_value() == "0"
    assert not is_red(colour_in(page, view, *BALL[:2]))
    page.press("b", "b")
    assert slider.input_value() == "50"
    assert page.current() == "plain.png"


def colour_in(page: Reader, view, x: int, y: int) -> tuple[int, int, int]:
    """The colour on the screen where a pixel of the picture is shown."""
    left, top, right, bottom = page.tab.evaluate("name => rows.find((row) => row.source === name).window", "plain.png")
    box = view.bounding_box()
    place = (
        box["x"] + (x + 0.5 - left) / (right - left) * box["width"],
        box["y"] + (y + 0.5 - top) / (bottom - top) * box["height"],
    )
    clip = {"x": place[0], "y": place[1], "width": 1, "height": 1}
    from flows.pictures import decode

    return tuple(int(level) for level in decode(page.tab.screenshot(clip=clip)).image[0, 0])


def is_red(colour) -> bool:
    return colour[0] > 180 and colour[1] < 90 and colour[2] < 90


def test_m_lays_the_mask_over_the_picture(result, reading):
    page = reading(result / "report.html")
    card = page.card("plain.png")
    card.locator("h2").click()
    page.press("b")  # after alone
    without = colour_in(page, card.locator(".view"), *BALL[:2])
    page.press("m")
    covered = colour_in(page, card.locator(".view"), *BALL[:2])
    assert covered[0] - without[0] > 60
    assert card.get_by_role("button", name="Mask").get_attribute("aria-pressed") == "true"
    page.press("m")
    assert colour_in(page, card.locator(".view"), *BALL[:2]) == without


def test_a_keyboard_alone_reviews_everything_and_the_target_takes_it_in(result, reading):
    page = reading(result / "report.html")
    page.press("Tab", "Tab")
    order = page.names()
    page.tab.locator("#cards").focus()
    page.press("r", "a", "j", "k", "ArrowRight", "r")
    page.press("n")
    page.tab.keyboard.type('the "shadow" <stays>')
    page.press("Escape")
    assert page.current() == order[4]
    lines = [json.loads(line) for line in page.download().splitlines()]
    assert [(line["file_name"], line["review"]) for line in lines][:2] == [
        ("broken.png", "reject"),
        (source_of(page, 1), "accept"),
    ]
    by_name = {line["file_name"]: line for line in lines}
    assert by_name[source_of(page, 3)]["review"] == "reject"
    assert by_name[source_of(page, 4)]["note"] == 'the "shadow" <stays>'
    read = decisions.read_decisions("".join(json.dumps(line) + "\n" for line in lines))
    assert decisions.apply(result, read) == 4
    rows = rows_of(result)
    assert rows["broken.png"]["review"] == "reject"
    assert rows[source_of(page, 1)]["review"] == "accept"
    review.rewrite(result)
    again = reading(result / "report.html")
    assert "1 accepted, 2 rejected of 8" in again.tab.locator("#progress").inner_text()
    assert again.names()[-1] == order[1]  # what is accepted need not be looked at again


def source_of(page: Reader, index: int) -> str:
    return page.tab.evaluate("index => rows[index].source", index)
