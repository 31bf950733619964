"""The review page in a real browser: seen, decided by keyboard, kept, taken in."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace

import numpy as np
import pytest

from flows import outcome as records
from flows.formats.drawings import encode_gif
from flows.formats.encoding import encode_image
from flows.formats.mask_files import encode_mask
from flows.formats.pictures import decode
from flows.job import Job
from flows.outcome import Outcome
from flows.page import report as review
from flows.places.layout import REPORT
from flows.places.target import Target
from flows.portions import Steps
from flows.records import card as cards
from flows.review import decisions
from flows.review.redo import redo
from flows.run import run
from flows.steps import thumbnails
from flows.steps.remove_masked import remove_masked
from flows.steps.verdicts import judge
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


def job_of(source, place, target: str = "out") -> Job:
    paths = {"source": str(source), "target": str(place / target), "masks": str(place / "masks")}
    return Job(**paths, model="bundled", method="telea")


@pytest.fixture
def result(source, tmp_path):
    run(job_of(source, tmp_path))
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
    middle = page.tab.evaluate("rows.find((row) => row.source === 'plain.png').middle")
    assert slider.input_value() == str(middle)  # of the ball, which is not that of the picture
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
    assert slider.input_value() == str(middle)
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


@pytest.fixture
def masks(source, tmp_path):
    """A target of masks alone: nothing is painted in it."""
    run(job_of(source, tmp_path), masks_only=True)
    return tmp_path / "out"


def test_masks_alone_are_shown_over_their_pictures_and_hidden_by_m(masks, reading):
    page = reading(masks / "report.html")
    view = page.card("plain.png").locator(".view")
    page.card("plain.png").locator("h2").click()
    assert is_pink(colour_in(page, view, *BALL[:2]))
    assert view.locator("img").evaluate_all("images => images.map((image) => image.alt)") == ["plain.png", ""]
    assert view.get_by_role("slider").count() == 0
    page.press("m")
    assert not is_pink(colour_in(page, view, *BALL[:2]))
    assert page.card("plain.png").get_by_role("button", name="Mask").get_attribute("aria-pressed") == "false"


def test_capital_m_shows_or_hides_every_mask_of_the_page(masks, reading):
    page = reading(masks / "report.html")
    shown = page.tab.locator(".card .view.masked")
    assert shown.count() == 6
    page.card("plain.png").locator("h2").click()
    page.press("M")
    assert shown.count() == 0
    page.press("M")
    assert shown.count() == 6


def test_the_zoom_of_a_mask_shows_the_whole_original_or_else_what_there_is_of_it(masks, source, reading):
    page = reading(masks / "report.html")
    page.card("plain.png").get_by_role("button", name="Zoom").click()
    image = page.tab.locator("#stage .layer.alone img")
    image.evaluate("image => image.decode()")
    assert image.evaluate("image => image.naturalWidth") == WIDTH
    assert page.tab.locator("#stage .view.masked .layer.mask").is_visible()
    page.press("Escape")
    (source / "plain.png").unlink()
    page.tab.reload()
    page.tab.wait_for_selector("body[data-taken]")
    page.card("plain.png").get_by_role("button", name="Zoom").click()
    page.tab.get_by_text("this is its thumbnail").wait_for()
    assert page.tab.locator("#stage .view.masked .layer.mask").is_visible()
    page.complaints.clear()  # that it is not there


def is_pink(colour) -> bool:
    return colour[0] > 180 and colour[1] < 90 and colour[2] > 60


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


def test_a_card_says_its_figures_with_their_units_and_what_they_mean(reading, tmp_path):
    (tmp_path / "out").mkdir()
    common = {"status": "removed", "width": 600, "height": 400, "mask_area": 0.042, "outside_max_diff": 0}
    filled = {"method": "patchmatch", "reason": "filled without a model", "doubt": 0.5, "seconds": 2.21}
    found = {"segmenter": "grabcut", "score": 0.8934, "dilate": 1, "boxes": [[1, 2, 9, 9]], "attempt": 1}
    drawn = {"segmenter": "by hand", "score": 1.0, "model": "sd15", "method": "inpainting", "attempt": 2}
    drawn |= {"reason": "its mask was made by hand; asked for; doubtful: an edge shows"}
    rows = [
        Outcome("found.png", **common | filled | found).row(),
        Outcome("drawn.png", **common | drawn | {"text": ["a dog"], "outside_max_diff": 1}).row(),
    ]
    page = reading(review.write(Target.existing(tmp_path / "out"), rows))
    said = figures_of(page, "found.png")
    assert said == {
        "asked for": "1 box",
        "size": "600×400 pixels",
        "mask": "4.2 % of the picture, grown by 1 pixel",
        "found with": "0.89 (0 to 1: how sure the finder is)",
        "filled by": "patchmatch, without a model",
        "doubt": "0.50 (above 1 it is doubtful)",
        "took": "2.2 seconds",
        "changed outside the mask": "0 levels (of 255)",
    }
    assert page.card("found.png").locator(".reason").count() == 0  # it is said above
    assert page.card("drawn.png").locator(".reason").inner_text() == "doubtful: an edge shows"
    other = figures_of(page, "drawn.png")
    assert other["mask"] == "drawn by hand, 4.2 % of the picture"
    assert "found with" not in other
    assert (other["filled by"], other["attempt"]) == ("sd15 (inpainting)", "2")
    assert other["changed outside the mask"] == "1 level (of 255)"


def figures_of(page: Reader, name: str) -> dict[str, str]:
    lines = page.card(name).locator(".figures div")
    return {one.locator("dt").inner_text().rstrip(":"): one.locator("dd").inner_text() for one in lines.all()}


def source_of(page: Reader, index: int) -> str:
    return page.tab.evaluate("index => rows[index].source", index)


def test_decisions_survive_a_reload_and_stay_with_the_result_that_they_were_made_on(result, source, reading, tmp_path):
    page = reading(result / "report.html")
    page.tab.locator("#cards").focus()
    page.press("r", "a")
    page.card("plain.png").locator(".note").fill("look again")
    page.card("plain.png").locator(".note").press("Enter")
    page.tab.reload()
    page.tab.wait_for_selector("body[data-taken]")
    assert "1 accepted, 1 rejected of 8" in page.tab.locator("#progress").inner_text()
    assert page.card("plain.png").locator(".note").input_value() == "look again"
    (source / "plain.png").write_bytes(encode_image(drawn(255)))  # it is another picture now, and done again
    run(job_of(source, tmp_path))
    page.tab.reload()
    page.tab.wait_for_selector("body[data-taken]")
    assert page.card("plain.png").locator(".note").input_value() == ""
    assert "1 accepted, 1 rejected of 8" in page.tab.locator("#progress").inner_text()


def test_another_target_knows_nothing_of_these_decisions(result, source, reading, tmp_path):
    page = reading(result / "report.html")
    page.tab.locator("#cards").focus()
    page.press("r", "a")
    run(job_of(source, tmp_path, target="other"))
    page.tab.goto((tmp_path / "other" / "report.html").as_uri())
    page.tab.wait_for_selector("body[data-taken]")
    assert "0 accepted, 0 rejected of 8" in page.tab.locator("#progress").inner_text()


def test_a_browser_that_keeps_nothing_says_so_and_the_decisions_still_leave(result, reading):
    page = reading(result / "report.html")
    page.context.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new Error('refused'); }})"
    )
    page.tab.reload()
    page.tab.wait_for_selector("body[data-taken]")
    assert page.tab.locator("#notice").is_hidden()
    page.tab.locator("#cards").focus()
    page.press("r")
    assert "download decisions.jsonl before you leave" in page.tab.locator("#notice").inner_text()
    assert json.loads(page.download())["review"] == "reject"


def test_pressing_again_takes_a_decision_back(result, reading):
    page = reading(result / "report.html")
    page.tab.locator("#cards").focus()
    page.press("a", "k")
    card = page.card(page.current())
    assert card.get_attribute("data-review") == "accept"
    page.press("a")
    assert card.get_attribute("data-review") == ""
    assert page.tab.locator("#save").is_disabled()


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ({"#by-name": "ONE"}, {"a/one.png"}),
        ({"#by-folder": "a/"}, {"a/one.png", "a/b/two.jpg"}),
        ({"#by-folder": "a/b/"}, {"a/b/two.jpg"}),
        ({"status": "failed"}, {"broken.png"}),
        ({"status": "nothing found"}, {"empty.png"}),
        ({"#by-verdict": "none"}, {"broken.png", "empty.png"}),
        ({"#by-review": "reject"}, {"broken.png"}),
        ({"#by-folder": "a/", "#by-name": "two"}, {"a/b/two.jpg"}),
    ],
)
def test_filters_leave_what_fits_all_of_them(result, reading, filters, left):
    page = reading(result / "report.html")
    page.tab.locator("#cards").focus()
    page.press("r")  # the first, which is broken.png
    for place, value in filters.items():
        if place == "status":
            page.tab.locator(f'#states [data-status="{value}"]').click()
        elif place == "#by-name":
            page.tab.fill(place, value)
        else:
            page.tab.select_option(place, value)
    assert set(page.names()) == left
    assert page.tab.locator("#said").inner_text() == f"{len(left)} of 8 pictures"


def test_the_process_is_shown_where_there_is_one(result, reading):
    (result / "process" / "a").mkdir(parents=True)
    (result / "process" / "a" / "one.png.gif").write_bytes(encode_gif([drawn(0), drawn(90)], [100, 100]))
    review.rewrite(result)
    page = reading(result / "report.html")
    assert page.tab.get_by_role("button", name="Process").count() == 1
    page.card("a/one.png").locator("h2").click()
    page.press("g")
    shown = page.card("a/one.png").locator("img.process")
    shown.evaluate("image => image.decode()")
    assert shown.evaluate("image => image.naturalWidth") == WIDTH
    page.press("g")
    assert shown.count() == 0


def test_rejected_by_keyboard_done_again_and_both_attempts_beside_each_other(source, reading, tmp_path):
    planted = {"plain.png", ODD}

    def pasted_back(job, masked):
        """The removal, but for some pictures that it leaves as they were."""
        for outcome in remove_masked(job, masked):
            if outcome.source not in planted:
                yield outcome
                continue
            data = (source / outcome.source).read_bytes()
            (tmp_path / "out" / outcome.file_name).write_bytes(data)
            seen = judge(decode(data).image, _ball())
            sha256 = hashlib.sha256(data).hexdigest()
            yield replace(outcome, sha256_out=sha256, verdict=seen.word, doubt=seen.doubt)

    run(job_of(source, tmp_path), steps=Steps(remove=pasted_back))
    page = reading(tmp_path / "out" / "report.html")
    assert page.names()[0] == "broken.png"
    assert set(page.names()[1:3]) == planted  # the worst first
    page.tab.locator("#cards").focus()
    for _ in page.names():
        page.press("r" if page.current() in planted else "a")  # and it is the next one's turn
    found = decisions.read_decisions(page.download())
    assert {one.file_name for one in found if one.review == "reject"} == planted
    decisions.apply(tmp_path / "out", found)
    again = redo(tmp_path / "out", frozenset({"rejected"}))
    assert again.done == {"removed": 2}
    second = reading(tmp_path / "out" / "report.html")
    for name in planted:
        attempts = second.card(name).locator(".attempts figure")
        assert attempts.locator("b").all_inner_texts() == ["attempt 1", "attempt 2, published"]
        for image in attempts.locator("img").all():
            image.evaluate("image => image.decode()")
    assert second.tab.locator(".attempts").count() == 2
    second.card("plain.png").get_by_role("button", name="Zoom").click()
    second.tab.get_by_role("button", name="Attempt 1").click()
    earlier = second.tab.locator("#stage .layer.after img")
    earlier.evaluate("image => image.decode()")
    assert earlier.get_attribute("src").endswith("attempts/plain.png/1.png")


def many(place, count: int):
    """A result of so many pictures, without the pictures: rows, and thumbnails that are all the same files."""
    target = Target.existing(place)
    known = {"width": WIDTH, "height": HEIGHT, "verdict": "gone", "method": "telea"}
    rows = []
    for number in range(count):
        name, sha, status = f"part {number % 7}/{number:05}.png", str(number), "removed" if number % 50 else "failed"
        rows.append(Outcome(name, status, sha256_in=sha, sha256_out=sha, doubt=number / count, **known).row())
    thumbnails.keep(target, Outcome("first", "removed"), drawn(0), drawn(90), _ball())
    made = thumbnails.find(target)[records.digest("first")]
    for row in rows:
        owner, version = thumbnails.identity(row).split(".")
        for kind, path in made.items():
            name = target.path(path).name.split(".", 2)[2]
            link = place / REPORT / kind / owner[:2] / f"{owner}.{version}.{name}"
            link.parent.mkdir(exist_ok=True)
            os.link(target.path(path), link)
    return target, rows


@pytest.mark.slow
def test_ten_thousand_rows_stay_usable(reading, tmp_path):
    (tmp_path / "out").mkdir()
    target, rows = many(tmp_path / "out", 10_000)
    page = reading(review.write(target, rows))
    assert page.tab.locator("body").get_attribute("data-taken") == "10000"
    assert page.tab.locator(".card").count() == 100
    assert page.tab.locator("#states").inner_text().split("\n")[0] == "all 10,000"
    assert page.names()[0] == "part 3/09950.png"  # of the failed ones the most doubtful
    page.tab.locator(".card img").first.evaluate("image => image.decode()")
    page.tab.locator("#cards").focus()
    page.press("PageDown")
    assert page.tab.locator("#page").inner_text() == "page 2 of 100, 10,000 pictures"
    page.press("PageUp")
    page.tab.locator(".card h2").last.click()
    page.press("r", "r")  # over the end of the page
    assert "2 rejected of 10,000" in page.tab.locator("#progress").inner_text()
    assert page.tab.locator("#page").inner_text().startswith("page 2 of 100")
    page.find("/00001.png")
    assert page.names() == ["part 1/00001.png"]
    page.press("a")
    page.tab.reload()
    page.tab.wait_for_selector('body[data-taken="10000"]')
    assert "1 accepted, 2 rejected of 10,000" in page.tab.locator("#progress").inner_text()
    assert len(page.download().splitlines()) == 3
    assert all(url.startswith(((tmp_path / "out").as_uri(), "blob:")) for url in page.asked)
