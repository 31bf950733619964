"""A survey of a source: its pictures, and everything else in it that gets a row or a message."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from flows.errors import EnvironmentFault
from flows.formats import heic
from flows.formats.pictures import SUFFIXES, suffix_of
from flows.places import unread

LINK = "it is a link, and links are not followed out of the source; put the picture itself in its place"
FOLDER = "it is a folder with the name of a picture; the pictures in it are done by their own names"
KEY = "no folder can hold a file of that name: a part of it is empty, . or ..; give the object another key"
SPECIAL = "it is not a file but a pipe, a socket or a device; put a picture in its place"


@dataclass
class Survey:
    """Every file with a picture's suffix: `names` of pictures, and `rejected` names with their reasons.

    `barred` are pictures without a place for their results, with the reason. `links` are links to folders, which are
    left out. `unread` counts other files by suffix, except the kinds that usually lie beside pictures.
    """

    names: list[str] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    barred: dict[str, str] = field(default_factory=dict)
    unread: Counter[str] = field(default_factory=Counter)

    @property
    def all(self) -> set[str]:
        """Every name that gets a row."""
        return {*self.names, *self.rejected, *self.barred}


def is_file_name(name: str) -> bool:
    """True if a file in a folder can have this name. A store keeps a//b.png and a/b.png apart; a folder does not."""
    return not any(part in ("", ".", "..") for part in name.split("/"))


def is_passed_over(name: str) -> bool:
    return any(unread.is_left_out(part) and part not in (".", "..") for part in name.split("/"))


def survey(source: Path) -> Survey:
    """Survey a folder and everything below it that is not hidden; no file is opened.

    Raises EnvironmentFault for a folder that cannot be read, since its pictures would be left out.
    """
    found, below = Survey(), [source]
    while below:
        directory = below.pop()
        try:
            with os.scandir(directory) as entries:
                below += [Path(entry.path) for entry in entries if _enter(found, entry, source)]
        except OSError as error:
            raise EnvironmentFault(
                f"{directory} cannot be read: {error.strerror}; its pictures would be left out"
            ) from error
    found.names.sort()
    return found


def _enter(found: Survey, entry: os.DirEntry[str], source: Path) -> bool:
    """Add an entry to a survey. Returns True for a folder to go through."""
    if unread.is_left_out(entry.name):
        return False
    name = Path(entry.path).relative_to(source).as_posix()
    picture, folder = suffix_of(entry.name) in SUFFIXES, entry.is_dir(follow_symlinks=False)
    if picture and entry.is_file(follow_symlinks=False):
        found.names.append(name)
    elif picture:
        found.rejected[name] = LINK if entry.is_symlink() else FOLDER if folder else SPECIAL
    elif suffix_of(entry.name) in heic.SUFFIXES and entry.is_file(follow_symlinks=False):
        found.rejected[name] = heic.MISSING
    elif entry.is_symlink() and os.path.isdir(entry.path):  # entry.is_dir() raises for a link to itself
        found.links.append(name)
    elif not folder:
        unread.count(found.unread, name)
    return folder
