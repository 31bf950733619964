"""The source and the target of a job together: that they do not overlap, and that every result has a place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from flows.places.bucket import is_url
from flows.places.layout import in_the_way, refuse_collisions
from flows.places.one_file import ResultFile, file_of
from flows.places.source import Source, open_source
from flows.places.survey import Survey
from flows.places.target import Target
from removal.weights.cache import NoHome, cache_folder

CACHES = {"CLEANPLATE_CACHE", "XDG_CACHE_HOME"}


@dataclass(frozen=True)
class Folders:
    """A source, which is only read, and a target, which alone is written.

    `result_file` is the one file that a single picture becomes, where the target holds the records of one.
    """

    source: Source
    target: Target
    result_file: ResultFile | None = None

    def survey(self) -> Survey:
        """Everything below the source whose name is that of a picture; those without a place for a result are barred.

        Raises UsageError where two pictures would have one result.
        """
        found = self.source.survey()
        refuse_collisions(found.names, self.target.container)
        found.barred = in_the_way(found.names, self.target.container)
        found.names = [name for name in found.names if name not in found.barred]
        return found

    def names(self) -> list[str]:
        """Every picture below the source, sorted. Links, devices and hidden folders are not followed."""
        return self.survey().names

    @property
    def is_far(self) -> bool:
        """True if source or target is in a store."""
        return self.source.root is None or is_url(self.target.address)


def open_folders(source: str, target: str, container: str = "same") -> Folders:
    """The folders of a job, whose pictures are published as a `container`, or each in its own format (`same`).

    Raises ValueError for a source that is not there, a target that is in it, is it, or holds it, and for either of
    them where the cache is in it.
    """
    if not target:
        raise ValueError("a target folder is needed, such as cleaned")
    read, written = open_source(source), Target(target, container)
    file = file_of(target) if read.single else None
    if is_url(source) and is_url(target):
        _refuse_overlap(PurePosixPath(source), PurePosixPath(target), read.single)
    elif read.root is not None and not is_url(target):
        _refuse_overlap(read.root.resolve(), written.root.resolve(), read.single)
    if not is_url(target):
        _refuse_cache_in(written.root, f"the target {target}")
    if read.root is not None and not read.single and CACHES & {*os.environ}:  # a whole home may be a source
        _refuse_cache_in(read.root, f"the source {source}")
    return Folders(read, written, ResultFile(file) if file else None)


def _refuse_overlap(source: PurePath, target: PurePath, single: str | None) -> None:
    inside = target.is_relative_to(source) and not (single and target != source)
    if inside or source.is_relative_to(target):
        raise ValueError(f"the target {target} and the source {source} overlap; choose a folder outside it")


def _refuse_cache_in(place: Path, name: str) -> None:
    """Raises ValueError where the cache lies in a source, which is never written, or in a target, which is handed on:
    the compiled models in it are code, and belong to one user alone."""
    try:
        cache = cache_folder("").resolve()
    except NoHome:
        return
    if cache.is_relative_to(place.resolve()):
        raise ValueError(f"the cache {cache} lies in {name}; set CLEANPLATE_CACHE to a folder elsewhere")
