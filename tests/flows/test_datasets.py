"""What comes out, as the package datasets and others who train on it read it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.datasets import write_pairs, write_parquet
from flows.encoding import encode_image
from flows.job import run
from flows.mask_files import encode_mask
from flows.settings import Job

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
    monkeypatch.setattr("flows.datasets.SHARD", shard)
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
