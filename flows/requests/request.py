"""The request of one picture: prompts, given masks, or annotations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flows.annotations.region import Region
from flows.outcome import digest
from masks import BoxPrompt, PointPrompt, Prompt, TextPrompt
from masks.selection import Selection


@dataclass(frozen=True)
class Request:
    """What to remove from one picture: prompts, the paths of masks, or annotations.

    Empty if nothing was asked. Of label maps, `labels` are meant, or all; of masks with an alpha channel, the opaque
    pixels, or the transparent ones if `clear`.
    """

    texts: tuple[str, ...] = ()
    points: tuple[tuple[float, float, int], ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    masks: tuple[Path, ...] = ()
    labels: tuple[int, ...] = ()
    clear: bool = False
    region: Region | None = None
    line: int | None = None
    choice: tuple[tuple[str, Any], ...] = ()  # settings of the selection that differ from the job's, and a region

    def selection(self, usual: Selection) -> Selection:
        """The selection among the finds: the job's, overridden by the picture's own row."""
        return replace(usual, **{key: value for key, value in self.choice if key != "region"})

    def where(self, usual: str) -> str:
        """The region to search, as it was written; "" for the whole picture."""
        return dict(self.choice).get("region", usual)

    @property
    def prompts(self) -> list[Prompt]:
        """Every phrase and box is a prompt of its own; all points are on one object."""
        found: list[Prompt] = [TextPrompt.parse(text) for text in self.texts]
        if self.points:
            found.append(PointPrompt(self.points))
        return [*found, *(BoxPrompt(box) for box in self.boxes)]

    @property
    def given(self) -> bool:
        """True if a mask or annotation is given, so that nothing has to be found."""
        return bool(self.masks) or self.region is not None

    @property
    def key(self) -> str:
        """A digest that changes with the request."""
        if self.region is not None:
            return self.region.key
        seen = [[stat.st_size, stat.st_mtime_ns] for stat in (mask.stat() for mask in self.masks)]
        read = [[*self.labels], self.clear] if self.labels or self.clear else []
        return digest(
            [self.texts, self.points, self.boxes, seen[0] if len(seen) == 1 else seen or None, *read, *self.choice]
        )
