"""COCO files, checked record by record when they are read, so that nothing in them can end a run later."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from flows.annotations.region import Region
from flows.messages.nearest import name_beside, path_beside
from flows.outcome import digest
from flows.places.entries import compose
from flows.places.sizes import read_list
from flows.settings.values import FAR

Id = int | str
Record = dict[str, Any]


@dataclass(frozen=True)
class Annotated:
    """The regions that the annotations of some categories cover, by file name, and a message about those ignored."""

    regions: dict[str, Region]
    said: tuple[str, ...] = ()


def read_coco(file: Path, categories: Iterable[str]) -> Annotated:
    """The regions that the annotations of some categories cover. Raises ValueError that names the faulty record."""
    if not file.is_file():
        raise ValueError(f"there is no COCO file at {file}{path_beside(file)}")
    stat = file.stat()
    return _read_coco(file, tuple(categories), stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _read_coco(file: Path, categories: tuple[str, ...], size: int, mtime: int) -> Annotated:
    """Cached for a file of that size and time, since every portion of a run asks again."""
    whole = parsed(file)
    ids = ids_of(whole, categories, file)
    chosen = [one for one in whole["annotations"] if id_of(one["category_id"]) in ids]
    by_image: dict[Id, list[Record]] = {}
    for annotation in chosen:
        by_image.setdefault(id_of(annotation["image_id"]), []).append(annotation)
    images: dict[str, dict[Id, Record]] = {}  # merged data sets may list a file twice; both entries count
    for image in whole["images"]:
        if (number := id_of(image["id"])) in by_image:
            images.setdefault(name_of(image), {})[number] = image
    lost = by_image.keys() - {number for some in images.values() for number in some}
    astray = sum(len(by_image[number]) for number in lost)
    of_none = f"{astray} belong to no picture in it, such as one with image_id {min(map(str, lost))}" if lost else ""
    if not images:
        missing = f"{file} has no annotation of {', '.join(categories)} in any picture"
        raise ValueError(f"{missing}; {of_none}" if of_none else missing)
    regions = {
        name: _region([*some.values()], [one for number in some for one in by_image[number]])
        for name, some in images.items()
    }
    said = f"{file}: of {len(chosen)} annotations of {', '.join(categories)}, {of_none}"
    return Annotated(regions, (said,) if of_none else ())


def _region(images: list[Record], annotations: list[Record]) -> Region:
    drawn = [[one.get("segmentation"), one.get("bbox")] for one in annotations]
    sizes = tuple(dict.fromkeys((int(image["width"]), int(image["height"])) for image in images))
    return Region(tuple(annotations), sizes, digest([drawn, *(sizes[0] if len(sizes) == 1 else [sizes])]))


def name_of(image: Mapping[str, Any]) -> str:
    """The posix path of a picture below the source, also from a file written on Windows or by Label Studio (`?d=`)."""
    name = image["file_name"]
    _, asked, local = name.rpartition("?d=")
    return PurePosixPath((unquote(local) if asked else name).replace("\\", "/")).as_posix()


def id_of(value: Any) -> Id:
    """An id for comparison: 1, 1.0 and "1" are the same, since spreadsheets and data frames turn one into another."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and str(int(value[:20])) == value else value
    return int(value)


def ids_of(whole: Mapping[str, Any], categories: Iterable[str], file: Path) -> set[Id]:
    """The ids of categories by name; a name may have several. Raises ValueError that lists the names in the file."""
    known: dict[str, set[Id]] = {}
    for category in whole["categories"]:
        known.setdefault(compose(category["name"]), set()).add(id_of(category["id"]))
    asked = [compose(name) for name in categories]
    wrong = [name for name in asked if name not in known]
    if wrong or not asked:
        near = name_beside(wrong[0], known) if wrong else ""
        said = f"there is no category {wrong[0]!r}{near}" if wrong else "say which category to remove, with --category"
        raise ValueError(f"{said}; {file} has {', '.join(known) or 'none'}")
    return {number for name in asked for number in known[name]}


def parsed(file: Path) -> Record:
    """A COCO file of object annotations, unchanged. Raises ValueError that names the faulty record."""
    try:
        whole = json.loads(read_list(file))
        if not isinstance(whole, dict):
            raise ValueError("it is not an object")
        for part, check in (("images", _image), ("categories", _category), ("annotations", _annotation)):
            if not isinstance(whole.get(part), list):
                raise ValueError(f"it has no list of {part}")
            for number, record in enumerate(whole[part]):
                if wrong := check(record) if isinstance(record, dict) else "is not an object":
                    raise ValueError(f"{part}[{number}]{_called(record)} {wrong}")
        _refuse_two_meanings(whole["images"], name_of, "pictures")
        _refuse_two_meanings(whole["categories"], lambda one: one["name"], "categories")
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise ValueError(f"{file} is not a COCO file of object annotations: {why}") from error
    return whole


def _image(record: Record) -> str | None:
    if not _is_id(record.get("id")):
        return f"has no id (a number or a name), but {record.get('id')!r:.40}"
    if not isinstance(record.get("file_name"), str) or not record["file_name"]:
        return "has no file_name"
    for side in ("width", "height"):
        value: Any = record.get(side)
        if type(value) not in (int, float) or not 1 <= value < FAR or value != int(value):
            return f"has a {side} of {value!r:.40}, not a whole number of pixels"
    return None


def _category(record: Record) -> str | None:
    if not _is_id(record.get("id")):
        return f"has no id (a number or a name), but {record.get('id')!r:.40}"
    return None if isinstance(record.get("name"), str) and record["name"] else "has no name"


def _annotation(record: Record) -> str | None:
    if "segments_info" in record:
        return "has segments_info: the file is panoptic, its outlines are in PNG files; convert it to instances first"
    for key in ("image_id", "category_id"):
        if not _is_id(record.get(key)):
            return f"has no {key} (a number or a name), but {record.get(key)!r:.40}"
    return None


def _is_id(value: Any) -> bool:
    if isinstance(value, float):
        return value.is_integer()  # false for NaN and infinity
    return type(value) is int or (isinstance(value, str) and bool(value))


def _called(record: Any) -> str:
    told = [
        f"{key} {record[key]!r:.60}"
        for key in ("id", "file_name", "name")
        if isinstance(record, dict) and key in record
    ]
    return f" ({', '.join(told)})" if told else ""


def _refuse_two_meanings(records: list[Record], meaning: Any, what: str) -> None:
    """Raises ValueError for an id of two different records, since an annotation could belong to either."""
    meant = Counter({(id_of(one["id"]), meaning(one)) for one in records})
    of_id: dict[Id, str] = {}
    for number, name in sorted(meant, key=str):
        other = of_id.setdefault(number, name)
        if other != name:
            raise ValueError(f"two {what} have the id {number}: {other!r} and {name!r}")
