"""The page for clicking points and boxes before a run. Its result is a prompts.jsonl."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flows.formats.encoding import encode_image
from flows.formats.picture import BrokenPicture, UnsupportedPicture
from flows.formats.pictures import decode, suffix_of
from flows.job import MAX_PIXELS
from flows.messages.readable import readable
from flows.outcome import digest
from flows.page.html import Page, as_json, render
from flows.places.disk import write_whole
from flows.places.folders import Folders, open_folders
from flows.places.sizes import TooLarge
from flows.places.source import Unsettled
from flows.requests.prompt_rows import plain, read_prompts, request_of_row
from flows.requests.request import Request

PAGE = "pick.html"
COPIES = "pictures"
NOT_SHOWN = frozenset({".tif", ".tiff", ".heic", ".heif"})  # by browsers


def write(source: str, to: Path, prompts: Path, say: Callable[[str], None]) -> Path:
    """Write `to`/pick.html for a source, with the prompts of an existing prompts.jsonl. Returns its path.

    Pictures are shown from where they are, by a path relative to the page; those that browsers cannot show, or not
    upright, are copied beside it. Raises ValueError for a `to` that lies in the source.
    """
    folders = open_folders(source, str(to))
    before = read_prompts(prompts) if prompts.exists() else {}
    root = folders.source.root or folders.target.root
    rows = list(_rows(folders, before))
    for name in sorted(before.keys() - {row["source"] for row in rows}):
        say(f"{prompts}, line {before[name].line}: there is no picture {name!r}")
    page = Page(
        title=readable(folders.source.single or root.resolve().name),
        kind="pick",
        key=digest(str(root.resolve())),
        total=len(rows),
        files=[],
        source=quote(os.fsencode(os.path.relpath(root.resolve(), to.resolve()))) + "/",
    )
    folders.target.write(PAGE, render(page, as_json(rows)).encode())
    return folders.target.path(PAGE)


def take(prompts: Path, lines: str) -> int:
    """Put lines of prompts into a prompts.jsonl; a line replaces its picture's earlier one. Returns how many.

    Raises ValueError, with the line number, for a line that is not a row of prompts; nothing is written then.
    """
    new = [_row(line, number) for number, line in enumerate(lines.split("\n"), 1) if line.strip()]
    told = {row["file_name"] for row in new}
    old = prompts.read_text(encoding="utf-8-sig").split("\n") if prompts.exists() else []
    kept = [line for line in old if line.strip() and json.loads(line)["file_name"] not in told]
    asked = [json.dumps(row) for row in new if len(row) > 1]  # a name alone withdraws its prompts
    write_whole(prompts, "".join(f"{line}\n" for line in (*kept, *asked)).encode())
    return len(new)


def _rows(folders: Folders, before: dict[str, Request]) -> Iterator[dict[str, Any]]:
    for name in folders.names():
        row: dict[str, Any] = {"source": name, "id": digest([name, *folders.source.stat(name)]), "there": True}
        if (address := quote(os.fsencode(name))) != name:
            row["url"] = address
        if copy := _copied(folders, name, row["id"]):
            row["image"] = copy
        if wanted := before.get(name):
            row |= {"wanted": "; ".join(wanted.texts), "picked": wanted.points, "boxed": wanted.boxes}
        yield row


def _copied(folders: Folders, name: str, key: str) -> str | None:
    """The path of a copy of a picture that browsers cannot show, or would not turn upright; None for any other."""
    if suffix_of(name) not in NOT_SHOWN | {".webp"}:
        return None
    path = f"{COPIES}/{key}.jpg"
    if not folders.target.has(path):
        try:
            data = folders.source.read(name, MAX_PIXELS)
            if suffix_of(name) == ".webp" and b"EXIF" not in data:  # where a WebP keeps its orientation
                return None
            folders.target.write(path, encode_image(decode(data).image, "JPEG"))
        except (BrokenPicture, UnsupportedPicture, TooLarge, Unsettled):
            return None  # a run will say what is wrong with it
    return path


def _row(line: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
        request_of_row(row, number, may_be_empty=True)  # which withdraws its prompts
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"prompts, line {number}: {plain(error)}") from error
    return {key: row[key] for key in ("file_name", "text", "points", "boxes") if row.get(key)}
