"""What to find in which picture: the job's own prompts, a prompts.jsonl, a COCO file, or a folder of masks."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flows.coco import Region, read_coco
from flows.formats.pictures import SUFFIXES
from flows.job import Job
from flows.nearest import path_beside
from flows.outcome import digest
from flows.places.source import Survey
from masks import BoxPrompt, PointPrompt, Prompt, TextPrompt

FAR = 1e6  # pixels; no picture is as wide, and NaN and infinity are not below it


@dataclass(frozen=True)
class Wanted:
    """What to remove from one picture: prompts, the path of a mask, or annotations. Empty when nothing was asked."""

    texts: tuple[str, ...] = ()
    points: tuple[tuple[float, float, int], ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    mask: Path | None = None
    region: Region | None = None
    line: int | None = None

    @property
    def prompts(self) -> list[Prompt]:
        """Every phrase and box is found on its own; points are all on one object."""
        found: list[Prompt] = [TextPrompt.parse(text) for text in self.texts]
        if self.points:
            found.append(PointPrompt(self.points))
        return [*found, *(BoxPrompt(box) for box in self.boxes)]

    @property
    def given(self) -> bool:
        """Whether somebody drew what is to go, so that nothing has to be found."""
        return self.mask is not None or self.region is not None

    @property
    def key(self) -> str:
        """Changes when something else is wanted of the picture."""
        seen = None
        if self.mask is not None:
            stat = self.mask.stat()
            seen = [stat.st_size, stat.st_mtime_ns]
        if self.region is not None:
            return self.region.key
        return digest([self.texts, self.points, self.boxes, seen])


@dataclass(frozen=True)
class Wishes:
    """What is wanted of every picture: rows of a prompts file, masks, or the same for all."""

    all: Wanted
    rows: dict[str, Wanted] = field(default_factory=dict)
    masks: Path | None = None
    pattern: str = ""
    among: bool = False  # whether the masks lie among the pictures

    def of(self, name: str) -> Wanted:
        if self.masks is not None:
            return Wanted(
                mask=self.masks if self.masks.is_file() else _beside(self.masks, name, self.pattern, self.among)
            )
        return self.rows.get(name, self.all)


def read_wishes(job: Job) -> Wishes:
    """The wishes of a job. Raises ValueError, with the line number for a row of a prompts file, if they are wrong."""
    if job.masks:
        masks = Path(job.masks).expanduser()
        if not masks.exists():
            raise ValueError(f"there is no mask or folder of masks at {job.masks}{path_beside(masks)}")
        among = masks.resolve() == Path(job.source).expanduser().resolve()
        return Wishes(Wanted(), masks=masks, pattern=job.mask_pattern, among=among)
    if job.coco:
        regions = read_coco(Path(job.coco).expanduser(), job.category)
        return Wishes(Wanted(), {name: Wanted(region=region) for name, region in regions.items()})
    own = Wanted(tuple(job.text), tuple(job.points), tuple(job.boxes))
    own.prompts  # noqa: B018  a prompt that cannot be is refused here, before anything runs
    if not job.prompts:
        if not own.prompts:
            raise ValueError("say what to remove: text, point, box, prompts, coco or masks, such as --text person")
        return Wishes(own)
    return Wishes(own, read_prompts(Path(job.prompts).expanduser()))


def read_prompts(file: Path) -> dict[str, Wanted]:
    """Rows of a prompts.jsonl by file name; rows for one file add up. Raises ValueError with file and line number."""
    if not file.is_file():
        raise ValueError(f"there is no prompts file at {file}{path_beside(file)}")
    stat = file.stat()
    return _read_prompts(file, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _read_prompts(file: Path, size: int, mtime: int) -> dict[str, Wanted]:
    """As it was at that size and time: every portion of a run asks again."""
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8: {error}") from error
    rows: dict[str, Wanted] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            name, wanted = wanted_row(json.loads(line), number)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"{file}, line {number}: {plain(error)}") from error
        before = rows.get(name, Wanted())
        rows[name] = Wanted(
            before.texts + wanted.texts, before.points + wanted.points, before.boxes + wanted.boxes, line=number
        )
    return rows


def without_masks(found: Survey, source: Path, wishes: Wishes) -> Survey:
    """What lies in a source without the masks that lie there too: in a folder of their own, or among the pictures."""
    if wishes.masks is None or not wishes.masks.resolve().is_relative_to(source.resolve()):
        return found
    place = wishes.masks.resolve().relative_to(source.resolve()).as_posix()
    if wishes.among:
        drawn = [mask for name in found.names if (mask := wishes.of(name).mask)]
        masks = {mask.relative_to(wishes.masks).as_posix() for mask in drawn}
    else:
        masks = {name for name in found.names if name == place or name.startswith(f"{place}/")}
    return replace(found, names=[name for name in found.names if name not in masks])


def without_a_partner(wishes: Wishes, names: list[str]) -> list[str]:
    """A message for every row whose file is not among the pictures, and one for pictures that have no mask."""
    known = set(names)
    rows = wishes.rows.items()
    lost = [(name, row) for name, row in rows if name not in known]
    messages = [f"prompts, line {row.line}: there is no picture {name!r}" for name, row in lost if row.region is None]
    if annotated := [name for name, row in lost if row.region is not None]:
        messages.append(f"{len(annotated)} annotated pictures are not there, such as {annotated[0]!r}")
    if wishes.masks is not None and (bare := sum(wishes.of(name).mask is None for name in names)):
        messages.append(f"{bare} of {len(names)} pictures have no mask in {wishes.masks}")
    return messages


def wanted_row(row: Any, number: int) -> tuple[str, Wanted]:
    """A row of a prompts.jsonl: whose it is, and what is wanted. Raises ValueError for what is none."""
    if not isinstance(row, dict) or not isinstance(row.get("file_name"), str):
        raise ValueError('a row is an object with "file_name" and "text", "points" or "boxes"')
    text = row.get("text") or []
    texts = tuple(text) if isinstance(text, list) else (text,)
    if not all(isinstance(phrase, str) for phrase in texts):
        raise ValueError(f'"text" is a phrase or a list of phrases, not {text!r}')
    texts = _with_thresholds(texts, _listed(row, "thresholds"))
    wanted = replace(shapes(row, number), texts=texts)
    wanted.prompts  # noqa: B018
    return row["file_name"], wanted


def _with_thresholds(texts: tuple[str, ...], thresholds: list) -> tuple[str, ...]:
    """Phrases with a threshold of their own each, where it is not null: as they would be written for `--text`."""
    if not thresholds:
        return texts
    if len(thresholds) != len(texts) or not all(each is None or type(each) in (int, float) for each in thresholds):
        raise ValueError(f'"thresholds" is a number or null for each phrase of "text", not {thresholds!r}')
    return tuple(text if level is None else f"{text}@{level:f}" for text, level in zip(texts, thresholds, strict=True))


def shapes(row: dict, line: int) -> Wanted:
    """The points and boxes of a row. Raises ValueError for what is none."""
    points = tuple(_numbers("points", point, (2, 3)) for point in _listed(row, "points"))
    boxes = tuple(_numbers("boxes", box, (4,)) for box in _listed(row, "boxes"))
    wanted = Wanted(points=points, boxes=boxes, line=line)
    wanted.prompts  # noqa: B018  a prompt that cannot be is refused here
    return wanted


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
    """What is wrong with a line of JSON, in words."""
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON ({error.msg} at column {error.colno})"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _beside(folder: Path, name: str, pattern: str, among: bool) -> Path | None:
    """The mask of a picture: as the pattern says, or the same relative path with any picture's suffix, with `.png`
    added, or with `_mask` before its suffix.
    """
    whole = folder / name
    if pattern:
        file = whole.parent / pattern.replace("{stem}", whole.stem).replace("{name}", whole.name)
        return file if file.is_file() else None
    added = whole.with_name(f"{whole.name}.png")
    for candidate in [added] if among else [added, whole]:  # among pictures, a.png is no mask of a.jpg
        if candidate.is_file():
            return candidate
    for stem in [f"{whole.stem}_mask"] if among else [whole.stem, f"{whole.stem}_mask"]:
        for suffix in sorted(SUFFIXES):
            for spelling in (suffix, suffix.upper()):
                if (candidate := whole.with_name(stem + spelling)).is_file():
                    return candidate
    return None
