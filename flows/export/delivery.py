"""Exports a finished result: pictures, masks, records and page, all or nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flows.errors import EnvironmentFault, UsageError
from flows.export.datasets import write_coco, write_pairs, write_parquet
from flows.page import report as review
from flows.places.disk import UMASK
from flows.places.layout import files_of
from flows.places.target import Target
from flows.records import card as cards
from flows.records import rebuild
from flows.records.splits import write_splits
from flows.settings.job_file import job_of
from flows.steps import thumbnails

Row = dict[str, Any]


def export(
    target: Path,
    dest: Path,
    accepted: bool = False,
    originals: bool = True,
    say: Callable[[str], None] = lambda _: None,
    coco: bool = False,
    pairs: bool = False,
    parquet: bool = False,
) -> int:
    """Copy the pictures of a target with their masks, records and review page to `dest`. Returns how many.

    `coco` adds the COCO file of the job without what was removed. `pairs` makes a data set of pictures before and after
    instead, `parquet` one of pictures and masks in parquet files; both together, pairs in such files.

    `accepted`: only accepted ones. Without `originals` nothing shows what was removed: no strips, no animations, no
    pictures before, and no pictures that were copied because they could not be changed. Earlier attempts are never
    exported. Raises UsageError for a target without a result and for a `dest` that is not empty, Busy while a run holds
    the target.
    """
    _refuse(target, dest)
    if pairs and not originals:
        raise UsageError("pairs hold the originals; leave out --no-originals or --hf-pairs")
    with rebuild.opened(Target.existing(target), say) as manifest:
        if manifest.rows_in_records() is None:
            raise UsageError(f"a run of {target} did not finish; run it again, then export it")
        rows = [row for row in cards.read_rows(target) if row["file_name"] and (not accepted or _accepted(row))]
        if not originals:
            rows = [row for row in rows if row["status"] != "unsupported"]
        if not rows:
            raise UsageError(f"{target} has nothing to export{' that was accepted' if accepted else ''}")
        try:
            rows = list(_as_recorded(target, rows, say))
            if parquet:
                return _whole(dest, lambda part: write_parquet(target, part, rows, pairs))
            if pairs:
                return _whole(dest, lambda part: write_pairs(target, part, rows))
            return _whole(dest, lambda part: _copy(target, part, dest, rows, originals, coco))
        except OSError as error:
            raise EnvironmentFault(f"{dest} cannot be written: {error.strerror or error}") from error


def _refuse(target: Path, dest: Path) -> None:
    next(cards.read_rows(target), None)
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise UsageError(f"{dest} holds something already; export to a folder that is new or empty")
    one, other = target.resolve(), dest.resolve()
    if one.is_relative_to(other) or other.is_relative_to(one):
        raise UsageError(f"{dest} and {target} overlap; export to a folder outside it")


def _accepted(row: Row) -> bool:
    return row["review"] == "accept"


def _copy(target: Path, part: Path, dest: Path, rows: list[Row], originals: bool, coco: bool) -> int:
    of, made = Target.existing(target), Target.existing(part)
    small = thumbnails.find(of)
    for row in rows:
        for name in (*_files(row), *filter(of.has, _beside(row, small, originals))):
            made.write(name, of.path(name).read_bytes())
    _describe(target, part, dest, rows, originals)
    if coco:
        write_coco(target, part, rows)
    return len(rows)


def _whole(dest: Path, fill: Callable[[Path], int]) -> int:
    """Fill a folder beside `dest`, then rename it to `dest`. Returns the result of `fill`."""
    dest.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{dest.name}-", suffix=".part", dir=dest.parent))
    try:
        part.chmod(0o777 & ~UMASK)
        count = fill(part)
        os.replace(part, dest)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return count


def _as_recorded(target: Path, rows: list[Row], say: Callable[[str], None]) -> Iterator[Row]:
    """The rows whose files match them. Others are reported and left out, since they may show anything."""
    of = Target.existing(target)
    for row in rows:
        try:
            other = [name for name, sha in _files(row).items() if sha and _sha256(of.path(name)) != sha]
        except (FileNotFoundError, ValueError) as error:
            say(f"{row['source']} is left out: {error}")
            continue
        if other:
            say(f"{row['source']} is left out: {other[0]} does not match its row; run it again")
        else:
            yield row


def _files(row: Row) -> dict[str, str | None]:
    """The picture of a row and its mask, with their SHA-256 if it is known."""
    masks = {row["mask_file_name"]: row.get("sha256_mask")} if row["mask_file_name"] else {}
    return {row["file_name"]: row["sha256_out"], **masks}


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _beside(row: Row, small: dict[str, dict[str, str]], originals: bool) -> list[str]:
    """The strip, process and thumbnails of a row, without those that show the original unless `originals`."""
    thumbs = thumbnails.of(small, row)
    shown = [path for kind, path in thumbs.paths.items() if originals or kind != "before"] if thumbs else []
    files = files_of(row["source"])
    return [*shown, *([files.strip, files.process] if originals else [])]


def _describe(target: Path, part: Path, dest: Path, rows: list[Row], originals: bool) -> None:
    """Write the records, the card and the page of the copy. The source is given by its name alone."""
    made, job = Target.existing(part), job_of(str(target / "job.toml"), {})
    made.write("metadata.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    made.write("failures.jsonl", b"")
    named = job.model_copy(update={"source": Path(job.source).name})
    doubtful = sum(row["verdict"] == "doubtful" for row in rows)
    counts, painters = Counter(row["status"] for row in rows), cards.painters_of(rows)
    card = write_splits(made, rows) + cards.card(named, counts, doubtful, painters, whole=False)
    made.write("README.md", card.encode(errors="backslashreplace"))
    review.write(made, rows, originals=originals, place=dest)
