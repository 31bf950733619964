"""The review page of a target: its rows become report.html, worst first. It loads nothing from other machines."""

from __future__ import annotations

import base64
import json
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flows.messages.readable import readable
from flows.outcome import KEPT, digest
from flows.page.html import Page, as_json, in_chunks, render
from flows.places.folders import open_folders
from flows.places.layout import ATTEMPTS, DECIDED, PROCESS, REPORT, files_of
from flows.places.source import Source
from flows.places.target import Target
from flows.records import card as cards
from flows.steps import thumbnails

PAGE = "report.html"
ROWS = f"{REPORT}/rows"
INLINE = 500  # pictures whose thumbnails are in the page itself; missing ones are made for only so many
LEFT_OUT = {
    "file_name",
    "mask_file_name",
    "sha256_in",
    "sha256_out",
    "settings",
    "revision",
}  # nothing that a person would look at
OF_AN_ATTEMPT = ("method", "seed", "dilate", "verdict", "doubt", "reason", "review", "note")


def write(
    target: Target,
    rows: Iterable[Mapping[str, Any]],
    source: Source | None = None,
    originals: bool = True,
    place: Path | None = None,
) -> Path:
    """Write report.html of a target's rows (`Outcome.row()`), worst first. Returns its path on this machine.

    Up to 500 pictures are in the file itself; more are loaded from .cleanplate/report/. Without `originals` neither the
    page nor what it loads shows a pixel of the source that is not in the result. `place` is the target's final path
    while it is still built elsewhere.
    """
    ordered = sorted((*urgency(row), json.dumps(_known(row))) for row in rows)
    found = thumbnails.find(target)
    first = [json.loads(row) for *_, row in ordered[:INLINE]]
    bare = [row for row in first if row["status"] != "unsupported" and thumbnails.of(found, row) is None]
    if bare:
        thumbnails.make(target, bare, source)
        found = thumbnails.find(target)
    inline, address = len(ordered) <= INLINE, str(place.resolve()) if place else target.address
    about = _About(target, found, _processes(target), _attempts(target), _edits(target), originals, inline)
    entries = (about.entry(json.loads(row)) for *_, row in ordered)
    files = [] if inline else list(_write_chunks(target, entries))
    page = Page(
        title=readable(address.rpartition("/")[2]),
        kind="review",
        key=digest(address),
        total=len(ordered),
        files=files,
        source=_way_to_source(source, target) if originals and source else None,
    )
    target.write(PAGE, render(page, as_json(list(entries))).encode())
    for name in set(target.below(ROWS)) - {Path(file).name for file in files}:
        target.remove(f"{ROWS}/{name}")
    return target.root / PAGE


def rewrite(target: Path) -> Path:
    """Write the page again from the records of a target. Raises UsageError when there are none."""
    rows = list(cards.read_rows(target))
    return write(Target.existing(target), rows, opened_source(target))


def source_of(target: Path) -> Path | None:
    """The folder of the originals, or None if it cannot be reached from here."""
    source = opened_source(target)
    return source.root if source else None


def opened_source(target: Path) -> Source | None:
    """The source named in a target's job, or None if it cannot be reached from here."""
    try:
        return open_folders(tomllib.loads((target / "job.toml").read_text())["source"], str(target)).source
    except (OSError, ValueError, KeyError, TypeError):
        return None


def urgency(row: Mapping[str, Any]) -> tuple[int, float, str]:
    """The sorting key of a row: failed, doubtful, waiting for a second look, the rest, accepted."""
    review, doubtful = row["review"], row["verdict"] == "doubtful"
    if review == "accept":
        rank = 5
    elif row["status"] == "failed":
        rank = 0
    elif doubtful or review == "reject":
        rank = 1 if doubtful and not review else 2
    elif (row["attempt"] or 1) > 1:
        rank = 3
    else:
        rank = 4
    return rank, -(row.get("doubt") or 0.0), row["source"]


@dataclass(frozen=True)
class _About:
    """The facts about a target's pictures that are not in their rows."""

    target: Target
    thumbnails: dict[str, dict[str, str]]
    processes: frozenset[str]
    attempts: dict[str, list[int]]
    edits: dict[str, list[Any]]
    originals: bool
    inline: bool

    def entry(self, row: dict[str, Any]) -> dict[str, Any]:
        """A row for the page: its facts, its pictures, and its name as part of an address."""
        source = row["source"]
        entry = {key: value for key, value in row.items() if key not in LEFT_OUT}
        entry |= {"id": thumbnails.identity(row), "there": "file_name" in row}
        if (address := quote(os.fsencode(source))) != source:
            entry["url"] = address
        if row.get("file_name", f"images/{source}") != f"images/{source}":  # in another format
            entry["image"] = quote(os.fsencode(row["file_name"]))
        if small := thumbnails.of(self.thumbnails, row):
            entry |= {"window": small.window, "middle": small.middle} | self._pictures(small.paths)
        if source in self.processes:
            entry["process"] = True
        if row.get("reason") == KEPT:
            entry["review"] = "keep"
        if edits := self.edits.get(entry["id"]):
            entry["edits"] = edits
        if numbers := self.attempts.get(source):
            entry["attempts"] = [self._attempt(source, number) for number in sorted(numbers)]
        return entry

    def _pictures(self, paths: dict[str, str]) -> dict[str, str]:
        shown = {kind: path for kind, path in paths.items() if self.originals or kind != "before"}
        if not self.inline:
            return shown
        return {kind: data for kind, path in shown.items() if (data := self._as_data(path))}

    def _as_data(self, path: str) -> str | None:
        kind = "png" if path.endswith("png") else "jpeg"
        try:
            return f"data:image/{kind};base64,{base64.b64encode(self.target.read(path)).decode()}"
        except FileNotFoundError:  # removed at this very moment
            return None

    def _attempt(self, source: str, number: int) -> dict[str, Any]:
        try:
            row = json.loads(self.target.read(f"{files_of(source).attempts}/{number}.json"))
        except (OSError, ValueError):
            row = {}
        return {"number": number} | {key: row[key] for key in OF_AN_ATTEMPT if row.get(key) is not None}


def _known(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if value is not None}


def _write_chunks(target: Target, entries: Iterator[dict[str, Any]]) -> Iterator[str]:
    """Rows as scripts: a page from file:// may load nothing else. Named by content, so an open page keeps its own."""
    for data in in_chunks(entries):
        path = f"{ROWS}/{digest(data)}.js"
        target.write(path, data.encode())
        yield path


def _processes(target: Target) -> frozenset[str]:
    """The pictures that have an animation."""
    return frozenset(name.removesuffix(".gif") for name in target.below(PROCESS) if name.endswith(".gif"))


def _attempts(target: Target) -> dict[str, list[int]]:
    """The numbers of the attempts that were archived, by picture."""
    found: dict[str, list[int]] = {}
    for name in target.below(ATTEMPTS):
        source, _, file = name.rpartition("/")
        number, _, suffix = file.partition(".")
        if number.isdecimal() and suffix == "png":
            found.setdefault(source, []).append(int(number))
    return found


def _edits(target: Target) -> dict[str, list[Any]]:
    """The edits of masks since they were found, by the identity of their result."""
    found: dict[str, list[Any]] = {}
    for name in target.below(DECIDED):
        if name.endswith("/edits.json"):
            try:
                told = json.loads(target.read(f"{DECIDED}/{name}"))
                found[told["of"]] = told["edits"]
            except (OSError, ValueError, KeyError, TypeError):  # removed at this very moment, or somebody else's
                continue
    return found


def _way_to_source(source: Source, target: Target) -> str | None:
    """The source's folder as an address relative to the page, for links to the originals."""
    if source.root is None:
        return None
    return quote(os.fsencode(os.path.relpath(source.root.resolve(), target.root.resolve()))) + "/"
