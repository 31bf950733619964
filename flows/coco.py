"""COCO in and out: annotations say what to remove; a copy is written without those of what is gone."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from flows.nearest import name_beside, path_beside
from flows.outcome import digest

FAR = 1e6  # pixels; no picture is as wide, and NaN and infinity are not below it
FINE = 4  # bits of the place between two pixels that OpenCV draws polygons with


@dataclass(frozen=True)
class Region:
    """What annotations cover of one picture of `width`×`height` upright pixels."""

    annotations: tuple[dict[str, Any], ...]
    width: int
    height: int
    key: str

    def mask(self) -> np.ndarray:
        """H×W bool, the union of all. Raises ValueError that names the annotation which is wrong."""
        whole = np.zeros((self.height, self.width), bool)
        for annotation in self.annotations:
            try:
                whole |= _covered(annotation, self.height, self.width)
            except (ValueError, TypeError, KeyError, IndexError) as error:
                raise ValueError(f"annotation {annotation.get('id')}: {error}") from error
        return whole


def read_coco(file: Path, categories: Iterable[str]) -> dict[str, Region]:
    """What the annotations of some categories cover, by file name. Raises ValueError for a wrong file or category."""
    if not file.is_file():
        raise ValueError(f"there is no COCO file at {file}{path_beside(file)}")
    stat = file.stat()
    return _read_coco(file, tuple(categories), stat.st_size, stat.st_mtime_ns)


def without(
    file: Path, categories: Iterable[str], gone: set[str], published: Mapping[str, str], left_out: set[str]
) -> dict[str, Any]:
    """A COCO file without the annotations of these categories in the pictures that are `gone`, and without the pictures
    `left_out`. Pictures that are `published` under another name get that one. Ids and all else stay as they are.
    """
    whole = _parsed(file)
    ids = _ids_of(whole, categories, file)
    names = {image["id"]: name_of(image) for image in whole["images"]}

    def stays(annotation: Mapping[str, Any]) -> bool:
        name = names.get(annotation["image_id"])
        return name not in left_out and not (name in gone and annotation["category_id"] in ids)

    images = [_renamed(image, published) for image in whole["images"] if names[image["id"]] not in left_out]
    return {**whole, "images": images, "annotations": [one for one in whole["annotations"] if stays(one)]}


def name_of(image: Mapping[str, Any]) -> str:
    """The name of a picture below the source: posix, also where Windows wrote the file."""
    return PurePosixPath(str(image["file_name"]).replace("\\", "/")).as_posix()


def _renamed(image: dict[str, Any], published: Mapping[str, str]) -> dict[str, Any]:
    name = name_of(image)
    return {**image, "file_name": published[name]} if published.get(name, name) != name else image


@functools.lru_cache(maxsize=2)
def _read_coco(file: Path, categories: tuple[str, ...], size: int, mtime: int) -> dict[str, Region]:
    """As it was at that size and time: every portion of a run asks again."""
    whole = _parsed(file)
    ids = _ids_of(whole, categories, file)
    chosen: dict[Any, list[dict[str, Any]]] = {}
    for annotation in whole["annotations"]:
        if annotation.get("category_id") in ids:
            chosen.setdefault(annotation.get("image_id"), []).append(annotation)
    return {name_of(image): _region(image, chosen[image["id"]]) for image in whole["images"] if image["id"] in chosen}


def _region(image: Mapping[str, Any], annotations: list[dict[str, Any]]) -> Region:
    drawn = [[one.get("segmentation"), one.get("bbox")] for one in annotations]
    return Region(tuple(annotations), image["width"], image["height"], digest([drawn, image["width"], image["height"]]))


def _parsed(file: Path) -> dict[str, Any]:
    try:
        whole = json.loads(file.read_text(encoding="utf-8-sig"))
        for image in whole["images"]:
            if not (isinstance(image["file_name"], str) and 0 < image["width"] < FAR and 0 < image["height"] < FAR):
                raise ValueError(f"the picture {image['id']} has no file_name, width or height")
        if not all(isinstance(whole[key], list) for key in ("images", "annotations", "categories")):
            raise ValueError("images, annotations and categories are lists")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        missing = f"it has no {error}" if isinstance(error, KeyError) else error
        raise ValueError(f"{file} is not a COCO file of object annotations: {missing}") from error
    return whole


def _ids_of(whole: Mapping[str, Any], categories: Iterable[str], file: Path) -> set[Any]:
    """The ids of categories by name. Raises ValueError with the names that there are."""
    known: dict[str, Any] = {category["name"]: category["id"] for category in whole["categories"]}
    wrong = [name for name in categories if name not in known]
    if wrong or not [*categories]:
        near = name_beside(wrong[0], known) if wrong else ""
        said = f"there is no category {wrong[0]!r}{near}" if wrong else "say which category to remove, with --category"
        raise ValueError(f"{said}; {file} has {', '.join(known) or 'none'}")
    return {known[name] for name in categories}


def _covered(annotation: Mapping[str, Any], height: int, width: int) -> np.ndarray:
    """H×W bool of one annotation: its polygons or its runs; its box where it has neither."""
    drawn = annotation.get("segmentation")
    if isinstance(drawn, dict):
        return _of_runs(drawn, height, width)
    left, top, across, down = annotation["bbox"] if not drawn else (0, 0, 0, 0)
    polygons = drawn or [[left, top, left + across, top, left + across, top + down, left, top + down]]
    mask = np.zeros((height, width), np.uint8)
    for polygon in polygons:
        corners = np.asarray(polygon, np.float64).reshape(-1, 2)
        if len(corners) < 3 or not (np.abs(corners) < FAR).all():
            raise ValueError("a polygon is a list x, y, x, y, ... of three corners at least")
        # COCO counts from a pixel's corner, OpenCV from its middle; it draws the outline too, half a pixel outwards.
        cv2.fillPoly(mask, [np.round((corners - 0.5) * (1 << FINE)).astype(np.int32)], 1, shift=FINE)
    return mask.astype(bool)


def _of_runs(drawn: Mapping[str, Any], height: int, width: int) -> np.ndarray:
    """Runs of not covered and covered pixels in turn, down the columns.

    Read here, since pycocotools writes beyond its memory when a file's runs are not as long as its size says.
    """
    if list(drawn["size"]) != [height, width]:
        raise ValueError(f"its size {drawn['size']} is not [{height}, {width}], that of its picture")
    counts = drawn["counts"]
    runs = np.array(_counts(counts) if isinstance(counts, str) else counts, np.int64)
    if runs.ndim != 1 or (runs < 0).any() or runs.sum() != height * width:
        raise ValueError(f"its runs do not make up {height}×{width} pixels")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def _counts(text: str) -> list[int]:
    """Runs as COCO packs them: five bits a letter, the sixth says that more follow; from the third on, differences."""
    counts: list[int] = []
    value = shift = 0
    for letter in text.encode("ascii"):
        five = letter - 48
        value |= (five & 0x1F) << shift
        shift += 5
        if five & 0x20:
            continue
        if five & 0x10:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    return counts
