"""The requests of a job's pictures: common prompts, rows of a file, annotations, or masks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from flows.annotations.coco import read_coco
from flows.annotations.partners import last_parts, partners
from flows.errors import UsageError
from flows.job import Job
from flows.messages.counts import many
from flows.messages.nearest import path_beside
from flows.places.entries import compose
from flows.places.survey import Survey
from flows.requests.mask_folder import MaskFolder
from flows.requests.prompt_rows import read_prompts
from flows.requests.request import Request
from flows.settings.paths import local_path


@dataclass(frozen=True)
class Requests:
    """The requests of all pictures: rows of a `file`, masks, or the same for all.

    `names` returns the names of all pictures, to match rows and masks with other names. It is called only if needed.
    """

    all: Request
    rows: dict[str, Request] = field(default_factory=dict)
    file: str = ""
    annotated: bool = False  # True for annotations, which may name a picture by the end of its path
    masks: MaskFolder | None = None
    names: Callable[[], Collection[str]] = tuple
    said: tuple[str, ...] = ()

    def of(self, name: str) -> Request:
        if self.masks is not None:
            return replace(self.all, masks=self.masks.of(name))
        if name in self.rows or compose(PurePosixPath(name).name) not in self._last_parts:
            return self.rows.get(name, self.all)
        return self.rows.get(self._partners.get(name, ""), self.all)

    def among(self, names: Callable[[], Collection[str]]) -> Requests:
        """The same, for these pictures and no others."""
        return replace(self, names=names, masks=self.masks and replace(self.masks, names=names))

    @cached_property
    def _last_parts(self) -> set[str]:
        return {last for row in self.rows for last in last_parts(row)}

    @cached_property
    def _partners(self) -> dict[str, str]:
        return partners(self.rows, self.names(), self.annotated)

    def lost(self) -> list[tuple[str, Request]]:
        """The rows that belong to no picture."""
        found = {*self._partners.values()}
        return [(name, row) for name, row in self.rows.items() if name not in found]


def read_requests(job: Job) -> Requests:
    """The requests of a job. Raises ValueError for a faulty one, with the line number for a row of a prompts file."""
    if job.masks:
        read = Request(labels=tuple(job.mask_label), clear=job.mask_alpha == "clear")
        return Requests(read, masks=_masks(job))
    if job.coco:
        found = read_coco(local_path(job.coco), job.category)
        rows = {name: Request(region=region) for name, region in found.regions.items()}
        return Requests(Request(), rows, job.coco, annotated=True, said=found.said)
    own = Request(tuple(job.text), tuple(job.points), tuple(job.boxes))
    own.prompts  # noqa: B018  a prompt that cannot be is refused here, before anything runs
    if not job.prompts:
        if not own.prompts:
            raise ValueError("say what to remove: text, point, box, prompts, coco or masks, such as --text person")
        return Requests(own)
    rows = read_prompts(local_path(job.prompts))
    if not rows and not own.prompts:
        raise ValueError(f"{job.prompts} has no rows, and nothing else says what to remove")
    return Requests(own, rows, job.prompts)


def without_masks(found: Survey, source: Path | None, requests: Requests) -> Survey:
    """A survey of a source without the masks in it, which may be in a folder of their own or among the pictures."""
    if requests.masks is None or source is None or not requests.masks.place.resolve().is_relative_to(source.resolve()):
        return found
    place = requests.masks.place.resolve().relative_to(source.resolve()).as_posix()
    if requests.masks.among:
        drawn = [mask for name in found.names for mask in requests.of(name).masks]
        masks = {mask.relative_to(requests.masks.place).as_posix() for mask in drawn}
    else:
        masks = {name for name in found.names if name == place or name.startswith(f"{place}/")}
    return replace(found, names=[name for name in found.names if name not in masks])


def without_a_partner(requests: Requests) -> list[str]:
    """A message for every row whose file is not among the pictures, and one for pictures that have no mask.

    Raises UsageError if no picture has a row or a mask, with a name that was looked for and one that is there.
    """
    names, lost = sorted(requests.names()), requests.lost()
    if requests.masks is not None and names:
        bare = sum(not requests.of(name).masks for name in names)
        if bare == len(names):
            raise UsageError(requests.masks.why_none(names[0]))
        return [f"no mask for {bare} of {many(len(names), 'picture')} in {requests.masks.place}"] if bare else []
    if lost and names and len(lost) == len(requests.rows):
        raise UsageError(
            f"{requests.file} names none of the {len(names)} pictures: it has {lost[0][0]!r}, and there is "
            f"{names[0]!r}; names are paths below the source"
        )
    return [*requests.said, *_lost(requests, lost)]


def _lost(requests: Requests, lost: list[tuple[str, Request]]) -> Iterator[str]:
    if requests.annotated and lost:
        yield f"{len(lost)} annotated pictures are not there, such as {lost[0][0]!r}"
    elif not requests.annotated:
        yield from (f"prompts, line {row.line}: there is no picture {name!r}" for name, row in lost)


def _masks(job: Job) -> MaskFolder:
    place = local_path(job.masks)
    if not place.exists():
        raise ValueError(f"there is no mask or folder of masks at {job.masks}{path_beside(place)}")
    return MaskFolder(place, job.mask_pattern, place.resolve() == local_path(job.source).resolve())
