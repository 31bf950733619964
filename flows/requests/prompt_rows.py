"""Rows of a prompts.jsonl: what to find in each picture, in pixels of the upright picture."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from flows.job import Job
from flows.messages.nearest import path_beside
from flows.places.sizes import read_list
from flows.requests.request import Request
from flows.settings.values import FAR, in_pixels

CHOICE = ("largest", "except_largest", "min_area", "max_count", "region")
OF_THE_JOB = ("invert", "tiles")
MISTAKEN = {"point": "points", "box": "boxes", "threshold": "thresholds", "texts": "text"}  # keys that people write


def read_prompts(file: Path) -> dict[str, Request]:
    """Rows of a prompts.jsonl by file name; rows for one file add up. Raises ValueError with file and line number."""
    if not file.is_file():
        raise ValueError(f"there is no prompts file at {file}{path_beside(file)}")
    stat = file.stat()
    return _read_prompts(file, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _read_prompts(file: Path, size: int, mtime: int) -> dict[str, Request]:
    """Cached for a file of that size and time, since every portion of a run asks again."""
    try:
        lines = read_list(file).split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8: {error}") from error
    rows: dict[str, Request] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            name, request = request_of_row(json.loads(line), number)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"{file}, line {number}: {plain(error)}") from error
        before = rows.get(name, Request())
        rows[name] = Request(
            before.texts + request.texts, before.points + request.points, before.boxes + request.boxes, line=number,
            choice=tuple({**dict(before.choice), **dict(request.choice)}.items()),
        )  # fmt: skip
    return rows


def request_of_row(row: Any, number: int, may_be_empty: bool = False) -> tuple[str, Request]:
    """The picture and the request of a row of a prompts.jsonl. Raises ValueError for an invalid row.

    A row that asks for nothing is refused, unless it `may_be_empty`.
    """
    if not isinstance(row, dict) or not isinstance(row.get("file_name"), str):
        raise ValueError('a row is an object with "file_name" and "text", "points" or "boxes"')
    if wrong := next((key for key in MISTAKEN if key in row), None):
        raise ValueError(f'"{wrong}" is not read; did you mean "{MISTAKEN[wrong]}", which is a list?')
    text = row.get("text") or []
    texts = tuple(text) if isinstance(text, list) else (text,)
    if not all(isinstance(phrase, str) for phrase in texts):
        raise ValueError(f'"text" is a phrase or a list of phrases, not {text!r}')
    texts = _with_thresholds(texts, _listed(row, "thresholds"))
    request = replace(shapes(row, number), texts=texts)
    for values in (*(point[:2] for point in request.points), *request.boxes):
        in_pixels(values)
    if not request.prompts and not may_be_empty:
        raise ValueError('it asks for nothing: "text", "points" or "boxes" says what to remove')
    return PurePosixPath(row["file_name"]).as_posix(), replace(request, choice=_choice(row))


def _choice(row: dict) -> tuple[tuple[str, Any], ...]:
    """A row's selection among the finds, checked like the job's own settings."""
    if wrong := next((key for key in OF_THE_JOB if key in row), None):
        raise ValueError(f'"{wrong}" is a setting of the whole job, not of single pictures')
    said = {key: row[key] for key in CHOICE if row.get(key) is not None}
    try:
        Job.model_validate(said, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        wrong = str(first["loc"][0]) if first["loc"] else next(iter(said))
        raise ValueError(f'"{wrong}": {first["msg"].removeprefix("Value error, ")}, not {said.get(wrong)!r}') from error
    return tuple(said.items())


def _with_thresholds(texts: tuple[str, ...], thresholds: list) -> tuple[str, ...]:
    """Phrases with their own thresholds, unless null, as they would be written for `--text`."""
    if not thresholds:
        return texts
    if len(thresholds) != len(texts) or not all(each is None or type(each) in (int, float) for each in thresholds):
        raise ValueError(f'"thresholds" is a number or null for each phrase of "text", not {thresholds!r}')
    if wrong := [each for each in thresholds if each is not None and not 0 <= each <= 1]:
        raise ValueError(f"a threshold lies between 0 and 1, not {wrong[0]!r}")
    return tuple(text if level is None else f"{text}@{level:f}" for text, level in zip(texts, thresholds, strict=True))


def shapes(row: dict, line: int) -> Request:
    """The points and boxes of a row. Raises ValueError for invalid ones."""
    points = tuple(_numbers("points", point, (2, 3)) for point in _listed(row, "points"))
    boxes = tuple(_numbers("boxes", box, (4,)) for box in _listed(row, "boxes"))
    request = Request(points=points, boxes=boxes, line=line)
    request.prompts  # noqa: B018  a prompt that cannot be is refused here
    return request


def _listed(row: dict, key: str) -> list:
    value = row.get(key) or []
    if not isinstance(value, list):
        raise ValueError(f'"{key}" is a list, not {value!r}')
    return value


def _numbers(key: str, value: Any, lengths: tuple[int, ...]) -> tuple:
    numbers = tuple(value) if isinstance(value, list) else ()
    if len(numbers) not in lengths or not all(type(number) in (int, float) and abs(number) < FAR for number in numbers):
        shape = "[x, y, label]" if key == "points" else "[left, top, right, bottom]"
        raise ValueError(f'"{key}" holds lists of numbers {shape}, not {value!r}')
    return numbers


def plain(error: Exception) -> str:
    """A message for a faulty line of JSON."""
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON ({error.msg} at column {error.colno})"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)
