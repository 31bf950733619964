"""How `datasets.load_dataset(TARGET)` reads a target: the head of its card, and a list for each of train/, val/, test/.

The package takes every file of a folder for a sample, and the words train and val anywhere in a path for a split,
unless the card names the files. A list of pictures must lie above them, and hold the same types as every other list.
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
    """Write a list of each split, where all pictures lie in folders of such names. Returns the head of the card."""
    by_split: dict[str, list[str]] = {}
    pictures = _pictures(target)
    for earlier in {*SPLITS.values()}:
        target.remove(_list_of(earlier))
    for row in rows:
        split = SPLITS.get(row["source"].split("/")[0].lower()) if "/" in row["source"] else None
        if split is None:  # some picture is of no split, and then there are none
            return _head({"train": ["metadata.jsonl", pictures]})
        by_split.setdefault(split, []).append(json.dumps(_line(target, row)))
    if not by_split:
        return _head({"train": ["metadata.jsonl", pictures]})
    for split, lines in by_split.items():
        target.write(_list_of(split), "".join(f"{line}\n" for line in lines).encode())
    return _head({split: [_list_of(split), pictures] for split in by_split})


def split_of(source: str) -> str:
    """The split of a picture, by the folder that it lies in; train where that says nothing."""
    return SPLITS.get(source.split("/")[0].lower(), "train") if "/" in source else "train"


def _pictures(target: Target) -> str:
    """Some pictures, so that the package knows by their suffixes what it loads; the lists name them all.

    Not images/** where there are masks: a list of the source's own may have been copied there.
    """
    return "masks/**" if any(name.endswith(".png") for name in target.below(MASKS)) else "images/**"


def _list_of(split: str) -> str:
    return f"metadata-{split}.jsonl"


def _line(target: Target, row: dict[str, Any]) -> dict[str, Any]:
    """What a list tells of a picture: only what has one type throughout, and a black mask where nothing was removed."""
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
