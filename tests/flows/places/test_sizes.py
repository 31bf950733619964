"""Files that are larger than one of their kind can be, or than memory: a row, and the run goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.places import sizes
from flows.places.bucket import Bucket
from flows.places.source import StoredSource, read_settled
from flows.requests.prompt_rows import read_prompts
from flows.run import run
from flows.steps import thumbnails
from tests.flows.small import rows, small


def sparse(file: Path, size: int) -> Path:
    """A file of so many bytes, none of which takes room on the disk."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as opened:
        opened.truncate(size)
    return file


def test_a_file_larger_than_any_picture_gets_a_row_with_the_bound_and_is_not_read(tmp_path, monkeypatch):
    job = small(tmp_path, pictures=2)
    sparse(tmp_path / "in/huge.jpg", 3 << 30)
    monkeypatch.setattr(thumbnails, "decode", lambda *_: pytest.fail("it was opened for its thumbnail"))
    run(job)
    found = rows(tmp_path / "out")
    assert {name: row["status"] for name, row in found.items()} == {
        "huge.jpg": "failed", "p00.png": "removed", "p01.png": "removed",
    }  # fmt: skip
    assert found["huge.jpg"]["sha256_in"] is None
    for said in ("its file has 3,221,225,472 bytes", "(867,108,864)", "so it is not read", "--max-pixels"):
        assert said in found["huge.jpg"]["reason"]


def test_the_number_that_the_row_names_is_enough(tmp_path):
    file = sparse(tmp_path / "a.png", sizes.BESIDE + 12_345)
    with pytest.raises(sizes.TooLarge) as error:
        read_settled(file, max_pixels=100)
    allowed = int(str(error.value).split("--max-pixels ")[1].split()[0])
    assert len(read_settled(file, max_pixels=allowed)) == sizes.BESIDE + 12_345
    with pytest.raises(sizes.TooLarge):
        read_settled(file, max_pixels=allowed - 1)


def test_so_it_is_with_a_mask_and_in_a_store(tmp_path, monkeypatch):
    job = small(tmp_path, pictures=2)
    sparse(tmp_path / "masks/p01.png.png", 3 << 30)
    run(job)
    found = rows(tmp_path / "out")
    assert (found["p00.png"]["status"], found["p01.png"]["status"]) == ("removed", "failed")
    assert "its mask" in found["p01.png"]["reason"]
    assert "is not read" in found["p01.png"]["reason"]
    Bucket("memory://sizes").write("a.png", b"x" * 999)
    monkeypatch.setattr(sizes, "BESIDE", 100)
    monkeypatch.setattr(Bucket, "read", lambda *_: pytest.fail("it was read"))
    with pytest.raises(sizes.TooLarge):
        StoredSource("memory://sizes").read("a.png", max_pixels=100)


def test_a_list_of_prompts_that_would_take_all_memory_is_refused(tmp_path):
    with pytest.raises(ValueError, match="split it"):
        read_prompts(sparse(tmp_path / "prompts.jsonl", 3 << 30))


@pytest.mark.parametrize("where", ["flows.steps.find_masks.measure", "flows.steps.remove_masked.decode"])
def test_a_picture_that_does_not_fit_into_memory_is_a_row_and_its_thumbnail_ends_no_run(tmp_path, monkeypatch, where):
    def too_much(*_):
        raise MemoryError

    job = small(tmp_path, pictures=2)
    monkeypatch.setattr(where, too_much)
    monkeypatch.setattr(thumbnails, "decode", too_much)
    run(job)
    found = rows(tmp_path / "out")
    assert {(row["status"], row["reason"]) for row in found.values()} == {
        ("failed", "there is not enough memory for it")
    }


@pytest.mark.parametrize("where", ["flows.steps.remove_masked.changed", "flows.steps.find_masks.encode_mask"])
def test_memory_that_is_short_later_is_a_row_too(tmp_path, monkeypatch, where):
    def too_much(*_, **__):
        raise MemoryError

    job = small(tmp_path, pictures=2)
    monkeypatch.setattr(where, too_much)
    run(job)
    assert {row["reason"] for row in rows(tmp_path / "out").values()} == {"there is not enough memory for it"}
