"""Who painted: rows, card, export and XMP name the model that did, and none where none did."""

from __future__ import annotations

import json

import pytest

from flows.export.delivery import export
from flows.job import Job
from flows.records.card import card, painters_of
from flows.run import run
from tests.flows.small import Following, rows, small


@pytest.fixture
def by_telea(tmp_path):
    heard = Following()
    job = small(tmp_path, model="sd15")
    run(job, heard)
    return job, heard


def test_a_row_names_no_model_where_the_method_uses_no_weights(by_telea):
    job, heard = by_telea
    assert {(row["model"], row["method"]) for row in rows(job.target).values()} == {(None, "telea")}
    assert heard.said == ["removing by telea, without a model, masks as given, on cpu"]


def test_neither_does_the_card_of_the_result_nor_that_of_its_export(by_telea, tmp_path):
    export(tmp_path / "out", tmp_path / "given")
    for folder in ("out", "given"):
        said = (tmp_path / folder / "README.md").read_text()
        assert "painted by telea, an algorithm without a model." in said
        assert "sd15" not in said
    row = json.loads((tmp_path / "given" / "metadata.jsonl").read_text().splitlines()[0])
    assert row["model"] is None


def test_a_row_and_the_card_name_the_model_that_painted(tmp_path):
    job = small(tmp_path, pictures=1, method="auto", steps=1)
    run(job)
    assert [(row["model"], row["method"]) for row in rows(job.target).values()] == [("bundled", "inpainting")]
    assert "painted by `bundled` (inpainting)." in (tmp_path / "out" / "README.md").read_text()


def test_a_card_counts_what_several_painted_and_says_when_nobody_did():
    some = [{"model": "sd15", "method": "inpainting", "status": "removed"}] * 3
    some += [{"model": None, "method": "telea", "status": "removed"}]
    some += [{"model": None, "method": None, "status": "nothing found"}]
    said = card(Job(text=["cat"]), {"removed": 4}, 0, painters_of(some))
    assert "painted by `sd15` (inpainting) in 3 of them, by telea, an algorithm without a model in 1 of them." in said
    assert "No picture of it was painted on." in card(Job(text=["cat"]), {"nothing found": 1}, 0, painters_of(some[4:]))


def test_a_card_says_what_was_asked_for_and_leaves_out_what_is_as_usual():
    said = card(Job(text=["cat"], tries=3), {"nothing found": 1}, 0, painters_of([]))
    assert 'Settings: `{"text": ["cat"], "tries": 3}`; all others are the defaults.' in said
    assert "Settings" not in card(Job(), {"nothing found": 1}, 0, painters_of([]))


def test_the_card_of_masks_alone_says_that_nothing_is_painted_yet_and_what_goes_on(tmp_path):
    run(small(tmp_path, pictures=1), masks_only=True)
    said = (tmp_path / "out" / "README.md").read_text()
    assert "1 picture has its mask in `masks/` (white) and nothing painted yet: `cleanplate run` goes on" in said
    assert "2 pictures have their masks in" in card(Job(), {"masked": 2}, 0, painters_of([]))
