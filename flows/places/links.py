"""Checks of a target before a run: no links that lead out of it, and no files in place of its folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from flows.errors import EnvironmentFault, UsageError
from flows.places.disk import leads_out
from flows.places.layout import FOLDERS, RECORDS


def refuse_links(target: Path) -> None:
    """Raises UsageError for a target with a folder that is, or holds, a link that leads out of it.

    A run would write and remove files there. The target itself may be a link, and its folders may be mounts; links that
    stay inside are left alone, and nothing is written through them. Raises EnvironmentFault for a file where a folder
    belongs, or the reverse: no picture could be finished.
    """
    for name in FOLDERS:
        path = target / name
        if os.path.lexists(path) and not path.is_symlink() and not path.is_dir():
            raise EnvironmentFault(
                f"{path} cannot be written to: it is a file, and a folder belongs there; move it away, then run again"
            )
    for name in RECORDS:
        if (target / name).is_dir():
            raise EnvironmentFault(
                f"{target / name} cannot be written: it is a folder, and a file belongs there; "
                "move it away, then run again"
            )
    out = [link for name in FOLDERS for link in links(target / name) if leads_out(target, link)]
    if out:
        more = f" (and {len(out) - 1} more links)" if len(out) > 1 else ""
        raise UsageError(
            f"{out[0]} is a link to {os.readlink(out[0])}, outside the target{more}: what lies there would be "
            f"overwritten or removed. Put the files themselves in its place. To have results on another disk, move all "
            f"of {target} there: the target itself may be a link, and its folders may be mounts"
        )


def links(place: Path) -> Iterator[Path]:
    """The path itself if it is a link, else all links below it; none is followed."""
    if place.is_symlink():
        yield place
        return
    below = [place] if place.is_dir() else []
    while below:
        with os.scandir(below.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    yield Path(entry.path)
                elif entry.is_dir(follow_symlinks=False):
                    below.append(Path(entry.path))
