"""Files of a source that are not pictures, such as captions: copied unchanged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from flows.formats.pictures import SUFFIXES, suffix_of
from flows.places.layout import image_name
from flows.places.target import Target
from flows.places.unread import is_left_out


def copy_sidecars(source: Path, target: Target) -> int:
    """Copy files that are missing or have another size or time to images/, byte for byte. Returns how many.

    Hidden files and links are left out, as they are among pictures.
    """
    return sum(target.bring(source / name, image_name(name)) for name in _others(source))


def _others(source: Path) -> Iterator[str]:
    for directory, folders, files in os.walk(source, followlinks=False):
        folders[:] = sorted(name for name in folders if not is_left_out(name))
        for name in sorted(files):
            path = Path(directory, name)
            if not is_left_out(name) and suffix_of(name) not in SUFFIXES and path.is_file() and not path.is_symlink():
                yield path.relative_to(source).as_posix()
