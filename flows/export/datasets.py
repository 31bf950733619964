"""Results as data sets for others: a COCO file without the removed objects, pairs of pictures, parquet."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from flows.annotations.without import without
from flows.errors import UsageError, pip
from flows.places.disk import write_whole
from flows.places.target import Target
from flows.records.card import read_job
from flows.records.rows import rows_of
from flows.records.splits import split_of
from flows.settings.paths import local_path

SHARD = 500 << 20  # bytes of pictures in one parquet file, as the hub advises
TOLD = (
    "text",
    "source",
    "status",
    "mask_area",
    "score",
    "segmenter",
    "model",
    "method",
    "verdict",
    "review",
    "note",
)


def write_coco(target: Path, dest: Path, rows: Iterable[dict[str, Any]] | None = None) -> Path:
    """Write the COCO file of a run to the folder `dest`, without the annotations of removed objects. Returns its path.

    Pictures without a row in `rows` (by default all that the target delivers) are left out with their annotations.
    Raises UsageError for a target that was not made from a COCO file.
    """
    job = read_job(Target.existing(target)) or {}
    if not job.get("coco"):
        raise UsageError(f"{target} was not made from a COCO file; run it with --coco FILE --category NAME")
    file = local_path(job["coco"])
    delivered = {row["source"]: row for row in _delivered(target, rows)}
    known = {
        row["source"]
        for name in ("metadata", "failures")
        for row in rows_of(_lines(target, name), f"{target}/{name}.jsonl")
    }
    published = {name: row["file_name"].removeprefix("images/") for name, row in delivered.items()}
    gone = {name for name, row in delivered.items() if row["status"] == "removed"}
    try:
        whole = without(file, job["category"], gone, published, left_out=known - set(delivered))
    except ValueError as error:
        raise UsageError(str(error)) from error
    written = dest / file.name
    write_whole(written, json.dumps(whole, ensure_ascii=False).encode())
    return written


def write_pairs(target: Path, dest: Path, rows: Iterable[dict[str, Any]] | None = None) -> int:
    """Write every changed picture before and after, with its mask, as a folder for `datasets.load_dataset(dest)`:
    columns input, mask and output. Returns how many pairs there are. Raises UsageError if the source is unavailable.
    """
    lines = []
    for row in _changed(target, rows):
        places = _places(target, row)
        line = {"source": row["source"], **{key: row[key] for key in TOLD if key in row}}
        for column, file in places.items():
            name = f"{column}/{_below(row, column)}"
            (dest / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, dest / name)
            line[f"{column}_file_name"] = name
        lines.append(json.dumps(line))
    write_whole(dest / "metadata.jsonl", "".join(f"{line}\n" for line in lines).encode())
    return len(lines)


def write_parquet(target: Path, dest: Path, rows: Iterable[dict[str, Any]] | None = None, pairs: bool = False) -> int:
    """The pictures of a target in parquet files that `datasets.load_dataset(dest)` reads: columns image and mask and
    what the rows tell; with `pairs` input, mask and output of the changed ones. Returns how many pictures there are.

    Raises UsageError if pyarrow is not installed.
    """
    pictures = _changed(target, rows) if pairs else _delivered(target, rows)
    columns = ["input", "mask", "output"] if pairs else ["image", "mask"]
    by_split: dict[str, list[dict[str, Any]]] = {}
    for row in pictures:
        by_split.setdefault(split_of(row["source"]), []).append(row)
    for split, some in by_split.items():
        for number, shard in enumerate(_shards(target, some, pairs)):
            _write_shard(dest / f"{split}-{number:05}.parquet", shard, columns)
    return sum(len(some) for some in by_split.values())


def _write_shard(file: Path, rows: list[dict[str, Any]], pictures: list[str]) -> None:
    """Write one file, with the types of its columns in the schema as the package datasets writes them."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise UsageError(f"parquet needs pyarrow: {pip()} install 'cleanplate[parquet]'") from error
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    numbers = {"mask_area": pa.float64(), "score": pa.float64()}
    types = dict.fromkeys(pictures, picture) | {name: numbers.get(name, pa.string()) for name in TOLD}
    told = {name: {"_type": "Image"} for name in pictures} | {
        name: {"_type": "Value", "dtype": str(types[name]).replace("double", "float64")} for name in TOLD
    }
    schema = pa.schema([*types.items()]).with_metadata({"huggingface": json.dumps({"info": {"features": told}})})
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema), file, row_group_size=100)


def _shards(target: Path, rows: list[dict[str, Any]], pairs: bool) -> Iterator[list[dict[str, Any]]]:
    shard: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        told = {key: ", ".join(row[key]) if isinstance(row.get(key), list) else row.get(key) for key in TOLD}
        for column, file in _places(target, row, pairs).items():
            data = file.read_bytes()
            told[column] = {"bytes": data, "path": Path(row["source"]).name}
            size += len(data)
        shard.append(told)
        if size > SHARD:
            yield shard
            shard, size = [], 0
    if shard:
        yield shard


def _places(target: Path, row: dict[str, Any], pairs: bool = True) -> dict[str, Path]:
    """The paths of a row's pictures, by column."""
    mask = {"mask": target / row["mask_file_name"]} if row["mask_file_name"] else {}
    if not pairs:
        return {"image": target / row["file_name"], **mask}
    source = _source(target)
    before = source / row["source"] if source.is_dir() else source
    if not before.is_file():
        raise UsageError(f"{before} is not there; pairs need the pictures as they were before")
    return {"input": before, **mask, "output": target / row["file_name"]}


def _below(row: dict[str, Any], column: str) -> str:
    """A picture's path below the folder of its column."""
    told = {"input": row["source"], "mask": row["mask_file_name"], "output": row["file_name"]}[column]
    return told if column == "input" else told.split("/", 1)[1]


def _source(target: Path) -> Path:
    return local_path(tomllib.loads((target / "job.toml").read_text(encoding="utf-8"))["source"])


def _changed(target: Path, rows: Iterable[dict[str, Any]] | None) -> Iterator[dict[str, Any]]:
    return (row for row in _delivered(target, rows) if row["status"] == "removed")


def _delivered(target: Path, rows: Iterable[dict[str, Any]] | None) -> Iterator[dict[str, Any]]:
    """The rows of pictures in images/: the given ones, or all."""
    given = rows_of(_lines(target, "metadata"), f"{target}/metadata.jsonl") if rows is None else rows
    return (row for row in given if row["file_name"])


def _lines(target: Path, name: str) -> list[str]:
    file = target / f"{name}.jsonl"
    if not file.is_file():
        raise UsageError(f"{target} holds no Cleanplate result (no {file.name})")
    return file.read_text(encoding="utf-8").split("\n")
