"""What comes out, as the package datasets and others who train on it read it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flows.errors import UsageError
from flows.export.datasets import write_pairs, write_parquet
from flows.export.delivery import export
from flows.formats.encoding import encode_image
from flows.formats.mask_files import encode_mask
from flows.job import Job
from flows.review.decisions import Decision, apply
from flows.review.redo import redo
from flows.run import run

ROOT = Path(__file__).parents[3]
HOLE = np.zeros((24, 36), bool)
HOLE[6:14, 9:20] = True


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Any]:
    """`datasets.load_dataset` with its cache in a folder of its own."""
    import datasets

    datasets.disable_progress_bars()
    return lambda folder: datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))


def cleaned(root: Path, names: Iterable[str], empty: Iterable[str] = (), **settings: Any) -> Path:
    """A target made of noise with a hole in every picture but those whose mask is `empty`."""
    for number, name in enumerate(names):
        picture, mask = root / "in" / name, root / "masks" / f"{name}.png"
        for path in (picture, mask):
            path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 255, (*HOLE.shape, 3), np.uint8)
        container = {".jpg": "JPEG", ".png": "PNG"}[picture.suffix]
        picture.write_bytes(encode_image(noise, container))
        mask.write_bytes(encode_mask(HOLE & (name not in empty)))
    where = {"source": str(root / "in"), "target": str(root / "out"), "masks": str(root / "masks")}
    run(Job(**where, **{"method": "telea", "concat": True, **settings}))
    return root / "out"


SPLIT = ["train/cat/a.png", "train/dog/b.jpg", "val/cat/c.png", "test/cat/d.png"]


def test_a_target_loads_with_columns_image_and_mask(tmp_path, load):
    loaded = load(cleaned(tmp_path, ["a.png", "trainers/b.jpg", "deep/c.png"], empty=["deep/c.png"]))
    assert list(loaded) == ["train"]
    rows = {row["source"]: row for row in loaded["train"]}
    assert rows.keys() == {"a.png", "trainers/b.jpg", "deep/c.png"}
    assert (np.asarray(rows["a.png"]["mask"]) == HOLE * 255).all()
    assert rows["a.png"]["image"].size == (36, 24)
    assert rows["deep/c.png"]["mask"] is None


@pytest.mark.parametrize("empty", [[], ["val/cat/c.png"], ["train/cat/a.png"]])
def test_folders_train_and_val_become_splits_with_columns_image_and_mask(tmp_path, load, empty):
    loaded = load(cleaned(tmp_path, SPLIT, empty))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 2, "validation": 1, "test": 1}
    for rows in loaded.values():
        for row in rows:
            assert row["image"].size == (36, 24)
            assert (np.asarray(row["mask"]) == HOLE * 255 * (row["source"] not in empty)).all()


def test_splits_that_are_no_more_are_not_told(tmp_path, load):
    target = cleaned(tmp_path, SPLIT)
    assert (target / "metadata-train.jsonl").exists()
    cleaned(tmp_path, [*SPLIT, "other.png"])
    assert not [*target.glob("metadata-*.jsonl")]
    assert len(load(target)["train"]) == 5


def test_pairs_load_with_columns_input_mask_and_output(tmp_path, load):
    target = cleaned(tmp_path, ["a.png", "deep/b.png", "c.png"], empty=["c.png"])
    assert write_pairs(target, tmp_path / "pairs") == 2
    rows = {row["source"]: row for row in load(tmp_path / "pairs")["train"]}
    assert rows.keys() == {"a.png", "deep/b.png"}
    before, mask, after = (np.asarray(rows["deep/b.png"][column]) for column in ("input", "mask", "output"))
    assert (mask == HOLE * 255).all()
    assert (before[~HOLE] == after[~HOLE]).all()
    assert (before[HOLE] != after[HOLE]).any()


@pytest.mark.parametrize("shard", [1, 500 << 20], ids=["a file a picture", "one file"])
def test_parquet_loads_with_pictures_and_what_the_rows_tell(tmp_path, load, monkeypatch, shard):
    monkeypatch.setattr("flows.export.datasets.SHARD", shard)
    target = cleaned(tmp_path, SPLIT, empty=["val/cat/c.png"])
    assert write_parquet(target, tmp_path / "parquet") == 4
    assert len([*(tmp_path / "parquet").glob("*.parquet")]) == (4 if shard == 1 else 3)
    loaded = load(tmp_path / "parquet")
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 2, "validation": 1, "test": 1}
    row = next(row for row in loaded["train"] if row["source"] == "train/cat/a.png")
    assert (np.asarray(row["mask"]) == HOLE * 255).all()
    assert (row["status"], row["method"], row["segmenter"]) == ("removed", "telea", "given")
    assert row["mask_area"] == pytest.approx(HOLE.mean(), abs=1e-5)
    assert loaded["validation"][0]["mask"] is None


def test_parquet_of_pairs_holds_the_files_byte_for_byte(tmp_path):
    import pyarrow.parquet as pq

    target = cleaned(tmp_path, ["a.png", "b.jpg"], empty=["a.png"])
    assert write_parquet(target, tmp_path / "parquet", pairs=True) == 1
    (row,) = pq.read_table(tmp_path / "parquet").to_pylist()
    assert row["input"]["bytes"] == (tmp_path / "in/b.jpg").read_bytes()
    assert row["output"]["bytes"] == (target / "images/b.jpg").read_bytes()


def test_only_the_rows_that_are_asked_for_are_exported(tmp_path):
    target = cleaned(tmp_path, ["a.png", "b.png"])
    rows = [json.loads(line) for line in (target / "metadata.jsonl").open()]
    assert write_pairs(target, tmp_path / "pairs", rows[1:]) == 1
    assert [path.name for path in (tmp_path / "pairs/output").iterdir()] == ["b.png"]


def downloaded(root: Path) -> list[str]:
    """A folder as img2dataset makes it: numbered shards, sidecars beside every picture, statistics."""
    names = [f"00000/{number:09}.jpg" for number in range(2)]
    for name in names:
        file = root / "in" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_suffix(".json").write_text('{"caption": "a street", "status": "success"}')
        file.with_suffix(".txt").write_text("a street")
    (root / "in" / "00000_stats.json").write_text('{"count": 2}')
    (root / "in" / "00000" / "metadata.jsonl").write_text('{"file_name": "000000000.jpg", "caption": "a street"}\n')
    (root / "in" / ".hidden").write_text("left out")
    return names


def test_sidecars_travel_along_byte_for_byte_and_the_target_still_loads(tmp_path, load):
    names = downloaded(tmp_path)
    target = cleaned(tmp_path, names, copy_others=True)
    for file in (tmp_path / "in").rglob("*"):
        if file.is_file() and file.suffix != ".jpg":
            copied = target / "images" / file.relative_to(tmp_path / "in")
            assert copied.exists() == (file.name != ".hidden")
            assert file.name == ".hidden" or copied.read_bytes() == file.read_bytes()
    assert {row["source"] for row in load(target)["train"]} == set(names)


def test_a_sidecar_that_changed_is_copied_again_and_no_other(tmp_path):
    from flows.places.sidecars import copy_sidecars
    from flows.places.target import Target

    target = cleaned(tmp_path, downloaded(tmp_path), copy_others=True)
    assert copy_sidecars(tmp_path / "in", Target.existing(target)) == 0
    (tmp_path / "in/00000/000000001.txt").write_text("a harbour")
    assert copy_sidecars(tmp_path / "in", Target.existing(target)) == 1
    assert (target / "images/00000/000000001.txt").read_text() == "a harbour"


def test_without_the_flag_nothing_but_pictures_is_copied(tmp_path):
    target = cleaned(tmp_path, downloaded(tmp_path))
    assert {file.suffix for file in (target / "images").rglob("*") if file.is_file()} == {".jpg"}


def files_of(target: Path) -> set[str]:
    shown = {file.relative_to(target).as_posix() for file in target.rglob("*") if file.is_file()}
    return {file for file in shown if file.split("/")[0] in ("images", "masks", "strips", "process")}


def test_prune_takes_away_all_there_is_of_pictures_that_went_away_and_only_then(tmp_path):
    target = cleaned(tmp_path, ["a.png", "deep/b.png", "c.png"])
    (tmp_path / "in/deep/b.png").unlink()
    before = files_of(target)
    cleaned(tmp_path, ["a.png"])
    assert files_of(target) == before
    cleaned(tmp_path, ["a.png"], prune=True)
    assert before - files_of(target) == {"images/deep/b.png", "masks/deep/b.png.png", "strips/deep/b.png"}
    rows = [json.loads(line)["source"] for line in (target / "metadata.jsonl").open()]
    assert rows == ["a.png", "c.png"]
    (tmp_path / "in/deep").mkdir(exist_ok=True)
    cleaned(tmp_path, ["a.png", "deep/b.png"])
    assert files_of(target) == before


def test_prune_does_not_take_away_what_another_picture_is_published_as(tmp_path):
    target = cleaned(tmp_path, ["a.jpg"], format="png")
    (tmp_path / "in/a.jpg").unlink()
    cleaned(tmp_path, ["a.png"], format="png", prune=True)
    assert {file for file in files_of(target) if file.startswith("images/")} == {"images/a.png"}


def test_prune_refuses_an_empty_source(tmp_path):
    target = cleaned(tmp_path, ["a.png"])
    (tmp_path / "in/a.png").unlink()
    with pytest.raises(UsageError, match="holds no pictures"):
        cleaned(tmp_path, [], prune=True)
    assert (target / "images/a.png").exists()


@pytest.mark.parametrize(
    ("pattern", "mask"),
    [
        ("", "a.png"),
        ("", "a.jpg.png"),
        ("", "a_mask.png"),
        ("", "a.PNG"),
        ("{stem}-m.bmp", "a-m.bmp"),
        ("{name}_", "a.jpg_"),
    ],
)
def test_a_mask_is_found_by_the_ways_in_which_people_name_them(tmp_path, pattern, mask):
    picture, file = tmp_path / "in/deep/a.jpg", tmp_path / "masks/deep" / mask
    for path in (picture, tmp_path / "masks/deep/x", file):
        path.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(encode_image(np.zeros((*HOLE.shape, 3), np.uint8), "JPEG"))
    file.write_bytes(encode_mask(HOLE))
    where = {"source": str(tmp_path / "in"), "target": str(tmp_path / "out"), "masks": str(tmp_path / "masks")}
    assert run(Job(**where, method="telea", mask_pattern=pattern)).done == {"removed": 1}


@pytest.mark.parametrize("wrong", ["mask.png", "{nam}.png"])
def test_a_mask_pattern_that_names_no_picture_is_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match="a mask pattern has"):
        Job(source=str(tmp_path), target="out", masks=str(tmp_path), mask_pattern=wrong)


def exported(target: Path, *flags: str) -> tuple[int, Path]:
    """`cleanplate export` with these flags: how it ended, and where to."""
    dest = target.parent / "given"
    command = [sys.executable, "-m", "flows", "export", str(target), str(dest), *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120).returncode, dest


def test_export_gives_a_copy_that_loads_as_the_target_does(tmp_path, load):
    code, dest = exported(cleaned(tmp_path, SPLIT))
    assert code == 0
    assert {split: len(rows) for split, rows in load(dest).items()} == {"train": 2, "validation": 1, "test": 1}


def test_export_gives_pairs_and_parquet_when_asked(tmp_path, load):
    code, dest = exported(cleaned(tmp_path, ["a.png", "b.png"]), "--hf-pairs", "--parquet")
    assert code == 0
    assert [path.suffix for path in dest.iterdir()] == [".parquet"]
    assert {"input", "mask", "output"} <= set(load(dest)["train"].column_names)


def test_export_of_pairs_without_originals_is_refused(tmp_path):
    assert exported(cleaned(tmp_path, ["a.png"]), "--hf-pairs", "--no-originals")[0] == 2


def test_strips_keep_name_and_kind_of_the_source_also_where_pictures_are_converted(tmp_path):
    target = cleaned(tmp_path, ["a.jpg"], format="webp")
    assert export(target, tmp_path / "given") == 1
    assert Image.open(tmp_path / "given/strips/a.jpg").format == "JPEG"
    assert Image.open(tmp_path / "given/images/a.webp").format == "WEBP"


def test_a_converted_picture_can_be_done_again(tmp_path):
    target = cleaned(tmp_path, ["a.jpg", "b.jpg"], format="webp")
    before = (target / "images/a.webp").read_bytes()
    assert apply(target, [Decision("a.jpg", "reject", None, (), (), 1)]) == 1
    assert redo(target, frozenset({"rejected"}), {"dilate": 4}).done == {"removed": 1}
    assert {file for file in files_of(target) if file.startswith("images/")} == {"images/a.webp", "images/b.webp"}
    assert (target / "images/a.webp").read_bytes() != before


@pytest.mark.parametrize("place", ["", "masks", "masks/one.png"])
def test_masks_that_lie_in_the_source_are_no_pictures_of_it(tmp_path, place):
    mask = {"": "a_mask.png", "masks": "masks/a.png", "masks/one.png": "masks/one.png"}[place]
    for name, data in (("a.jpg", "JPEG"), ("a.bmp", "BMP"), (mask, None)):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(1).integers(0, 255, (*HOLE.shape, 3), np.uint8)
        (tmp_path / "in" / name).write_bytes(encode_image(noise, data) if data else encode_mask(HOLE))
    where = {"source": str(tmp_path / "in"), "target": str(tmp_path / "out"), "masks": str(tmp_path / "in" / place)}
    assert run(Job(**where, method="telea")).done == {"removed": 2}
    assert files_of(tmp_path / "out") >= {"images/a.jpg", "images/a.bmp"}
    assert len([file for file in files_of(tmp_path / "out") if file.startswith("images/")]) == 2
