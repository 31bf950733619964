"""A survey of a source: which pictures are in it, and what else there is that a row or a message is owed to."""

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
    """Everything that is called like a picture: `names` of pictures, `rejected` by name with the reason why not.

    `barred` are pictures whose results would have no place, with the reason. `links` are links to folders: whatever is
    behind them is left out. `unread` counts by suffix the files that are neither pictures nor what lies beside them.
    """

    names: list[str] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    barred: dict[str, str] = field(default_factory=dict)
    unread: Counter[str] = field(default_factory=Counter)

    @property
    def all(self) -> set[str]:
        """What a row is owed to."""
        return {*self.names, *self.rejected, *self.barred}


def is_file_name(name: str) -> bool:
    """True if a file of a folder can be called so. A store keeps a//b.png and a/b.png apart; a folder does not."""
    return not any(part in ("", ".", "..") for part in name.split("/"))


def is_passed_over(name: str) -> bool:
    return any(unread.is_left_out(part) and part not in (".", "..") for part in name.split("/"))


def survey(source: Path) -> Survey:
    """Look through a folder and all below it, but for what is hidden; nothing is opened.

    Raises EnvironmentFault for a folder that cannot be read, whose pictures would be left out.
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
    """Enter a thing in a survey. Returns whether it is a folder to go through."""
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
