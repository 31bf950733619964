"""A folder of masks, and the files in it that belong to a picture: one, or several that add up."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from flows.formats.pictures import SUFFIXES, suffix_of
from flows.places.entries import compose, entries


@dataclass(frozen=True)
class MaskFolder:
    """Masks in a `place` of their own, `among` the pictures, or one file for all; found by name, or by a `pattern`.

    `names` returns the names of all pictures: a_2_1.png is a mask of a_2.jpg, and not of a.jpg, if there are both.
    """

    place: Path
    pattern: str = ""
    among: bool = False
    names: Callable[[], Collection[str]] = tuple

    def of(self, name: str) -> tuple[Path, ...]:
        """A picture's masks: {name}.png or its own name with a picture's suffix, and all of {stem}_* and {stem}/*.

        Among the pictures only {name}.png or {stem}_mask, since everything else there is a picture.
        """
        if self.place.is_file():
            return (self.place,)
        whole = PurePosixPath(name)
        folder = self.place / whole.parent
        if self.pattern:
            return tuple(self._as_the_pattern_says(whole, folder))
        there = entries(folder)
        named = [there.get(f"{whole.name}.png"), None if self.among else there.get(whole.name)]
        named += _pictures_called(folder, f"{whole.stem}_mask" if self.among else whole.stem)
        own = [file for file in named if file and file.is_file()][:1]
        return tuple(dict.fromkeys(own if self.among else [*own, *self._several(whole, folder)]))

    def why_none(self, name: str) -> str:
        """A message for a folder in which no picture has a mask: the names tried for one picture, and what is there."""
        whole = PurePosixPath(name)
        stem, added = whole.stem, f"{whole.name}.png"
        looked_for = [f"{stem}.png", added, f"{stem}_*.png", f"{stem}/*.png"]
        if self.pattern or self.among:
            looked_for = [_filled(self.pattern, whole)] if self.pattern else [added, f"{stem}_mask.png"]
        *others, last = [(whole.parent / one).as_posix() for one in looked_for]
        several = f"{', '.join(others)} or {last}" if others else last
        there = next(_pictures_below(self.place), None)
        instead = f"there is {there!r}" if there else "it holds no picture at all"
        return (
            f"no picture has a mask in {self.place}: for {name!r}, {several} was looked for, and {instead}; "
            "--mask-pattern takes other names"
        )

    def _several(self, whole: PurePosixPath, folder: Path) -> Iterator[Path]:
        """Masks that add up: {stem}_*, and all in a folder {stem}, unless it holds pictures in the source."""
        found = [file for file in entries(folder).starting(f"{whole.stem}_") if _is_picture(file)]
        yield from self._not_of_others(whole, found, 0)
        inside = entries(folder).get(whole.stem)
        if inside and inside.is_dir() and not self._stems.get(compose((whole.parent / whole.stem).as_posix())):
            yield from (file for file in entries(inside).starting("") if _is_picture(file))

    def _as_the_pattern_says(self, whole: PurePosixPath, folder: Path) -> Iterator[Path]:
        filled, last = folder / _filled(self.pattern, whole), self.pattern.rpartition("/")[2]
        if not {"*", "?"} & {*last}:
            file = entries(filled.parent).get(filled.name)
            yield from [file] if file and file.is_file() else []
            return
        shape, name = re.compile(_shape(last, whole)), re.search(r"{stem}|{name}", last)
        start = last[: re.search(r"[*?{]", last).start()]  # type: ignore[union-attr]  # there is one
        found = [file for file in entries(filled.parent).starting(start) if shape.fullmatch(compose(file.name))]
        yield from self._not_of_others(whole, found, name.start()) if name else found

    def _not_of_others(self, whole: PurePosixPath, files: list[Path], at: int) -> Iterator[Path]:
        """The files that do not belong to a picture with a longer name than `whole`, compared from `at` on."""
        stems = self._stems.get(compose(whole.parent.as_posix()), set()) if files else set()
        own = len(compose(whole.stem))
        for file in files:
            name = compose(file.name)[at:]
            ends = [place for place in range(own + 1, len(name)) if not name[place].isalnum()]
            if not any(name[:end] in stems for end in ends):
                yield file

    @cached_property
    def _stems(self) -> dict[str, set[str]]:
        """The stems of all pictures, by their folder."""
        found: dict[str, set[str]] = defaultdict(set)
        for name in self.names():
            whole = PurePosixPath(compose(name))
            found[whole.parent.as_posix()].add(whole.stem)
        return dict(found)


def _pictures_called(folder: Path, stem: str) -> list[Path]:
    return [
        file
        for file in entries(folder).starting(f"{stem}.")
        if compose(file.stem) == compose(stem) and _is_picture(file)
    ]


def _filled(pattern: str, whole: PurePosixPath) -> str:
    return pattern.replace("{stem}", whole.stem).replace("{name}", whole.name)


def _shape(pattern: str, whole: PurePosixPath) -> str:
    """The last part of a pattern as a regular expression for composed names."""
    known = {"{stem}": re.escape(compose(whole.stem)), "{name}": re.escape(compose(whole.name)), "*": ".*", "?": "."}
    return "".join(known.get(part, re.escape(part)) for part in re.split(r"({stem}|{name}|\*|\?)", pattern))


def _is_picture(file: Path) -> bool:
    return suffix_of(file.name) in SUFFIXES and file.is_file()


def _pictures_below(folder: Path) -> Iterator[str]:
    """The pictures below a folder, relative to it, in the order of their names."""
    for place, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if suffix_of(name) in SUFFIXES:
                yield Path(place, name).relative_to(folder).as_posix()
