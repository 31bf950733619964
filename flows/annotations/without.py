"""A copy of a COCO file without the annotations of removed objects and without pictures that were not delivered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flows.annotations.coco import id_of, ids_of, name_of, parsed
from flows.annotations.partners import partners


def without(
    file: Path, categories: Iterable[str], gone: set[str], published: Mapping[str, str], left_out: set[str]
) -> dict[str, Any]:
    """A COCO file without annotations of these categories in `gone` pictures, and without the pictures `left_out`.
    Pictures that are `published` under another name get that one. Ids and everything else stay as they are.
    """
    whole = parsed(file)
    ids = ids_of(whole, categories, file)
    called = {name_of(image) for image in whole["images"]}
    of_picture = {row: name for name, row in partners(called, {*published, *left_out}, by_ending=True).items()}
    names = {id_of(image["id"]): of_picture.get(name_of(image), name_of(image)) for image in whole["images"]}

    def stays(annotation: Mapping[str, Any]) -> bool:
        name = names.get(id_of(annotation["image_id"]))
        return name not in left_out and not (name in gone and id_of(annotation["category_id"]) in ids)

    images = [
        _renamed(image, name, published.get(name, name))
        for image in whole["images"]
        if (name := names[id_of(image["id"])]) not in left_out
    ]
    return {**whole, "images": images, "annotations": [one for one in whole["annotations"] if stays(one)]}


def _renamed(image: dict[str, Any], name: str, published: str) -> dict[str, Any]:
    """An image whose picture was published under another name; the folders in front of its name stay."""
    if name == published:
        return image
    before = name_of(image).removesuffix(name) if name_of(image).endswith(name) else ""
    return {**image, "file_name": before + published}
