"""The page as a file: which rows, in which order, with which pictures, and what is not in it."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re

import numpy as np
import pytest
from PIL import Image, ImageCms

from flows.errors import UsageError
from flows.outcome import Outcome
from flows.page import report as review
from flows.places.folders import open_folders
from flows.places.target import Target
from flows.records import card as cards
from flows.run import run
from flows.steps import thumbnails
from tests.flows.small import image, mask, put, small

NASTY = "</script><script>alert(1)</script>\u2028\u2029<!-- \"'&"


def row(name: str, status: str = "removed", **known) -> dict:
    return dataclasses.replace(Outcome(name, status, sha256_in="in", sha256_out="out"), **known).row()


def entries(page) -> list[dict]:
    """The rows in a page, in its order."""
    return json.loads(re.search(r'id="rows">(.*?)</script>', page.read_text(), re.DOTALL)[1])


def facts(page) -> dict:
    return json.loads(re.search(r'id="facts">(.*?)</script>', page.read_text(), re.DOTALL)[1])


def target_at(place) -> Target:
    place.mkdir(exist_ok=True)
    return Target.existing(place)


def shown(data: str) -> np.ndarray:
    kind, _, coded = data.partition(",")
    assert kind in ("data:image/jpeg;base64", "data:image/png;base64")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(coded))))


def test_failed_pictures_come_first_then_doubtful_ones_by_doubt_and_accepted_ones_last(tmp_path):
    rows = [
        row("fine", verdict="gone", doubt=0.2),
        row("accepted", verdict="doubtful", doubt=9.0, review="accept"),
        row("doubtful", verdict="doubtful", doubt=1.1),
        row("nearly", verdict="gone", doubt=0.9),
        row("worse", verdict="doubtful", doubt=4.0),
        row("failed", "failed"),
        row("again", verdict="gone", doubt=0.1, attempt=2),
        row("rejected", verdict="gone", doubt=0.0, review="reject"),
    ]
    page = review.write(target_at(tmp_path / "out"), rows)
    order = ["failed", "worse", "doubtful", "rejected", "again", "nearly", "fine", "accepted"]
    assert [entry["source"] for entry in entries(page)] == order


@pytest.mark.parametrize("where", ["source", "reason", "note"])
def test_nothing_in_a_row_can_end_the_script_or_a_line_of_it(tmp_path, where):
    page = review.write(target_at(tmp_path / "out"), [row("a") | {where: NASTY}])
    (entry,) = entries(page)
    assert entry[where] == NASTY
    text = page.read_text()
    assert NASTY not in text
    assert not {"\u2028", "\u2029"} & set(text)


def test_the_name_of_the_target_is_text(tmp_path):
    page = review.write(target_at(tmp_path / "<img src=x onerror=alert(1)>"), [])
    assert "<img" not in page.read_text()


def test_a_run_leaves_a_page_with_before_after_and_mask_of_every_picture(tmp_path):
    run(small(tmp_path))
    page = tmp_path / "out" / "report.html"
    assert len(entries(page)) == 4
    for entry in entries(page):
        left, top, right, bottom = entry["window"]
        number = int(entry["source"][1:3])
        before, after, masked = (shown(entry[kind]).astype(int) for kind in ("before", "after", "mask"))
        assert np.abs(before - image(number)[top:bottom, left:right]).max() < 12  # JPEG
        hole = mask()[top:bottom, left:right]
        assert ((masked[..., 3] > 127) == hole).all()
        assert np.abs(after - before)[~hole].mean() < 3


def test_a_thumbnail_shows_the_surroundings_of_the_mask():
    hole = np.zeros((1000, 2000), bool)
    hole[400:500, 1900:2000] = True
    left, top, right, bottom = thumbnails.window_of(hole, 1000, 2000)
    assert (right, right - left, bottom - top) == (2000, 600, 300)
    assert top < 400
    assert bottom > 500
    assert thumbnails.window_of(None, 1000, 2000) == (0, 0, 2000, 1000)
    assert thumbnails.window_of(np.ones((10, 20), bool), 10, 20) == (0, 0, 20, 10)


def test_the_slider_begins_in_the_middle_of_the_mask(tmp_path):
    run(small(tmp_path, 1))
    (entry,) = entries(tmp_path / "out" / "report.html")
    left, _, right, _ = entry["window"]
    columns = np.flatnonzero(mask().any(axis=0))
    assert entry["middle"] == pytest.approx(100 * ((columns[0] + columns[-1] + 1) / 2 - left) / (right - left), abs=1)


def test_thumbnails_carry_the_colour_profile_of_their_picture(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    job = small(tmp_path, 1)
    Image.fromarray(image()).save(tmp_path / "in" / "p00.png", icc_profile=profile)
    run(job)
    (kept,) = (tmp_path / "out/.cleanplate/report/after").rglob("*.jpg")
    assert Image.open(kept).info["icc_profile"] == profile


def test_a_finished_folder_is_not_written_again(tmp_path):
    job = small(tmp_path)
    run(job)
    page = tmp_path / "out" / "report.html"
    before = page.stat().st_mtime_ns
    run(job)
    assert page.stat().st_mtime_ns == before
    put(tmp_path, "p09.png", 9)
    run(job)
    assert len(entries(page)) == 5


def test_a_page_that_was_taken_away_comes_back_with_the_next_run(tmp_path):
    job = small(tmp_path)
    run(job)
    (tmp_path / "out" / "report.html").unlink()
    run(job)
    assert len(entries(tmp_path / "out" / "report.html")) == 4


def test_masks_alone_can_be_looked_at(tmp_path):
    run(small(tmp_path), masks_only=True)
    for entry in entries(tmp_path / "out" / "report.html"):
        assert entry["status"] == "masked"
        assert entry["before"]
        assert entry["mask"]


def test_thumbnails_that_are_missing_are_made_from_the_files(tmp_path):
    run(small(tmp_path))
    page = tmp_path / "out" / "report.html"
    before = entries(page)
    Target.existing(tmp_path / "out").clear(".cleanplate/report")
    review.rewrite(tmp_path / "out")
    assert [set(entry) for entry in entries(page)] == [set(entry) for entry in before]
    assert all({"before", "after", "mask"} <= set(entry) for entry in before)


def test_a_picture_that_is_done_again_is_shown_as_it_is_now(tmp_path):
    run(small(tmp_path, 1))
    page = tmp_path / "out" / "report.html"
    (first,) = entries(page)
    Image.fromarray(255 - image()).save(tmp_path / "in" / "p00.png")
    run(small(tmp_path, 1))
    (second,) = entries(page)
    assert second["id"] != first["id"]
    assert np.abs(shown(second["before"]).astype(int) - shown(first["before"])).mean() > 20
    assert len([*(tmp_path / "out/.cleanplate/report").rglob("*.*")]) == 3


def test_without_its_source_a_page_still_shows_what_was_there(tmp_path):
    run(small(tmp_path))
    (tmp_path / "in").rename(tmp_path / "gone")
    page = review.rewrite(tmp_path / "out")
    assert all("before" in entry for entry in entries(page))
    assert facts(page)["source"] is None


def test_without_originals_nothing_of_them_is_in_the_page(tmp_path):
    run(small(tmp_path))
    folders = open_folders(str(tmp_path / "in"), str(tmp_path / "out"))
    page = review.write(folders.target, cards.read_rows(tmp_path / "out"), folders.source, originals=False)
    assert all("after" in entry and "before" not in entry for entry in entries(page))
    assert facts(page)["source"] is None


def test_beyond_500_rows_the_page_loads_them_from_files_beside_it_and_old_ones_go(tmp_path):
    target = target_at(tmp_path / "out")
    page = review.write(target, (row(f"{number:05}.png", doubt=float(number)) for number in range(2500)))
    first = facts(page)["files"]
    assert len(first) == 3
    assert entries(page) == []
    loaded = []
    for file in first:
        script = (tmp_path / "out" / file).read_text()
        loaded += json.loads(script.removeprefix("cleanplate.take(").removesuffix(")\n"))
    assert [entry["source"] for entry in loaded] == [f"{number:05}.png" for number in reversed(range(2500))]
    page = review.write(
        target, [row("other.png"), *(row(f"{number:05}.png", doubt=float(number)) for number in range(2400))]
    )
    assert {file.name for file in (tmp_path / "out" / review.ROWS).iterdir()} == {
        file.rpartition("/")[2] for file in facts(page)["files"]
    }
    page = review.write(target, [row("one.png")])
    assert [*(tmp_path / "out" / review.ROWS).iterdir()] == []


def test_attempts_that_were_archived_stand_beside_the_published_one(tmp_path):
    archived = tmp_path / "out/.cleanplate/attempts/a/b.png"
    archived.mkdir(parents=True)
    for number in (1, 10, 2):
        (archived / f"{number}.png").write_bytes(b"")
        (archived / f"{number}.mask.png").write_bytes(b"")
    (archived / "1.json").write_text(json.dumps(row("a/b.png", method="telea", verdict="doubtful", seconds=1.0)))
    (entry,) = entries(review.write(target_at(tmp_path / "out"), [row("a/b.png", attempt=11)]))
    assert entry["attempts"] == [{"number": 1, "method": "telea", "verdict": "doubtful"}, {"number": 2}, {"number": 10}]


def test_a_folder_that_is_no_result_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"no metadata\.jsonl"):
        review.rewrite(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_nothing_is_written_through_a_link(tmp_path):
    run(small(tmp_path))
    Target.existing(tmp_path / "out").clear(".cleanplate/report")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out/.cleanplate/report").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="leads outside the target"):
        review.rewrite(tmp_path / "out")
    assert [*(tmp_path / "elsewhere").iterdir()] == []
