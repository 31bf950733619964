"""Support for `datasets.load_dataset(TARGET)`: the head of the card, and a list for each of train/, val/, test/.

Unless the card names the files, the package takes every file of a folder for a sample, and the words train and val
anywhere in a path for a split. A list of pictures must lie above them, and have the same types as all other lists.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from flows.formats.mask_files import encode_mask
from flows.places.layout import MASKS, PRIVATE
from flows.places.target import Target

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval"), "test"),
}


def write_splits(target: Target, rows: Iterable[dict[str, Any]]) -> str:
    """Write a list for each split, if all pictures lie in folders with such names. Returns the head of the card."""
    by_split: dict[str, list[str]] = {}
    pictures = _pictures(target)
    for earlier in {*SPLITS.values()}:
        target.remove(_list_of(earlier))
    for row in rows:
        split = SPLITS.get(row["source"].split("/")[0].lower()) if "/" in row["source"] else None
        if split is None:  # one picture outside the splits means that there are none
            return _head({"train": ["metadata.jsonl", pictures]})
        by_split.setdefault(split, []).append(json.dumps(_line(target, row)))
    if not by_split:
        return _head({"train": ["metadata.jsonl", pictures]})
    for split, lines in by_split.items():
        target.write(_list_of(split), "".join(f"{line}\n" for line in lines).encode())
    return _head({split: [_list_of(split), pictures] for split in by_split})


def split_of(source: str) -> str:
    """The split of a picture, by its folder; train by default."""
    return SPLITS.get(source.split("/")[0].lower(), "train") if "/" in source else "train"


def _pictures(target: Target) -> str:
    """A pattern for some pictures, whose suffixes tell the package what to load; the lists name all of them.

    Not images/** if there are masks: a list of the source's own may have been copied there.
    """
    return "masks/**" if any(name.endswith(".png") for name in target.below(MASKS)) else "images/**"


def _list_of(split: str) -> str:
    return f"metadata-{split}.jsonl"


def _line(target: Target, row: dict[str, Any]) -> dict[str, Any]:
    """A picture's line in a list: keys that have one type throughout, and a black mask if nothing was removed."""
    mask = row["mask_file_name"] or _black(target, row["width"], row["height"])
    told = {"file_name": row["file_name"], "mask_file_name": mask, "source": row["source"], "status": row["status"]}
    return {**told, "text": ", ".join(row["text"] or [])}


def _black(target: Target, width: int | None, height: int | None) -> str | None:
    """An empty mask of that size, which all such pictures share."""
    if width is None or height is None:
        return None
    name = f"{PRIVATE}/empty/{width}x{height}.png"
    if not target.has(name):
        target.write(name, encode_mask(np.zeros((height, width), bool)))
    return name


def _head(files: dict[str, list[str]]) -> str:
    """The YAML that the package and the hub read (Hugging Face, "Manual configuration" of data files)."""
    configs = [{"split": split, "path": paths} for split, paths in files.items()]
    lists = [paths[0] for paths in files.values()]
    named = "" if lists == ["metadata.jsonl"] else f"  metadata_filenames: {json.dumps(lists)}\n"
    # JSON is YAML.
    return f"---\nconfigs:\n- config_name: default\n{named}  data_files: {json.dumps(configs)}\n---\n"
