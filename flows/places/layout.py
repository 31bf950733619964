"""The paths of a picture's files in a target. Only this file knows them all, so that none is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from flows.errors import UsageError
from flows.formats.pictures import suffix_of
from flows.outcome import digest

IMAGES, MASKS, STRIPS, PROCESS, PRIVATE = FOLDERS = ("images", "masks", "strips", "process", ".cleanplate")
RECORDS = ("metadata.jsonl", "failures.jsonl", "README.md", "job.toml", "report.html")
PENDING = f"{PRIVATE}/pending"
ATTEMPTS = f"{PRIVATE}/attempts"
DECIDED = f"{PRIVATE}/decided"
REPORT = f"{PRIVATE}/report"
STAGE = f"{PRIVATE}/redo"  # the target of pictures that are done again
THUMBNAILS = {"before": "jpg", "after": "jpg", "mask": "png"}  # kinds and their suffixes
SUFFIXES_OF = {
    "png": (".png",),
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "webp": (".webp",),
}  # a converted picture gets the first


@dataclass(frozen=True)
class PictureFiles:
    """Paths below a target of all files that the source's picture `name` may have."""

    name: str
    container: str = "same"
    base: str = ""

    @property
    def image(self) -> str:
        """The published picture, unless it had to keep its own format."""
        return self.base + image_name(suffixed(self.name, self.container))

    @property
    def mask(self) -> str:
        """Its mask: its row's, or one made by hand."""
        return f"{self.base}{MASKS}/{self.name}.png"

    @property
    def pending_mask(self) -> str:
        """Its mask until its row is committed."""
        return f"{self.base}{PENDING}/{self.name}.png"

    @property
    def protected(self) -> str:
        """The mask of what must not be touched."""
        return f"{self.base}{PRIVATE}/protected/{self.name}.png"

    @property
    def strip(self) -> str:
        return f"{self.base}{STRIPS}/{self.name}"

    @property
    def process(self) -> str:
        return f"{self.base}{PROCESS}/{self.name}.gif"  # after its own suffix, since a.jpg and a.png are two pictures

    @property
    def attempts(self) -> str:
        """The folder of earlier attempts."""
        return f"{self.base}{ATTEMPTS}/{self.name}"

    @property
    def decided(self) -> str:
        """The folder of what gave way to what a person decided, so that the decision can be taken back."""
        return f"{self.base}{DECIDED}/{self.name}"

    @property
    def edits(self) -> str:
        """The edits that its mask was given on the review page."""
        return f"{self.decided}/edits.json"

    @property
    def mask_before(self) -> str:
        """Its mask as it was before these edits, if it had any."""
        return f"{self.decided}/mask.png"

    @property
    def aside(self) -> str:
        """The folder of a result in whose place the original is kept."""
        return f"{self.decided}/aside"

    @property
    def thumbnails(self) -> dict[str, str]:
        """The beginnings of its thumbnails' paths, by kind."""
        owner = digest(self.name)
        return {kind: f"{self.base}{REPORT}/{kind}/{owner[:2]}/{owner}." for kind in THUMBNAILS}

    @property
    def files(self) -> tuple[str, ...]:
        """Every path of a single file."""
        return self.image, self.mask, self.pending_mask, self.protected, self.strip, self.process

    def staged(self) -> PictureFiles:
        """The same for a result that is not published yet."""
        return replace(self, base=f"{STAGE}/")


def files_of(name: str, container: str = "same") -> PictureFiles:
    """The files of a picture that is published as a `container` of SUFFIXES_OF, or in its own format (`same`)."""
    return PictureFiles(name, container)


def image_name(name: str) -> str:
    """The path in the target of a file of the source that keeps its name."""
    return f"{IMAGES}/{name}"


def suffixed(name: str, container: str) -> str:
    """The name of a picture that is published as a container: its own, or with the container's suffix."""
    suffixes = SUFFIXES_OF.get(container)
    if not suffixes or suffix_of(name) in suffixes:
        return name
    return f"{name.removesuffix(Path(name).suffix)}{suffixes[0]}"


def refuse_collisions(names: list[str], container: str) -> None:
    """Raises UsageError for two pictures that would be published under one name."""
    taken: dict[str, str] = {}
    for name in names:
        other = taken.setdefault(suffixed(name, container), name)
        if other != name:
            raise UsageError(
                f"{other} and {name} would both become {suffixed(name, container)}; rename one of them, or leave out "
                f"--format"
            )


def in_the_way(names: list[str], container: str) -> dict[str, str]:
    """Pictures with a file in the place of a folder that others need, with the reason.

    An example: a.jpg beside a folder a.jpg.png, since masks/a.jpg.png cannot be both.
    """
    folders = {folder for name in names for path in (name, suffixed(name, container)) for folder in _above(path)}
    if not folders:
        return {}
    found = {}
    for name in names:
        for path in (suffixed(name, container), f"{name}.png", name):
            if path in folders:
                found[name] = f"its files would collide with the folder {path}; rename the picture, or that folder"
    return found


def _above(name: str) -> Iterator[str]:
    """The folders above a name."""
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name
