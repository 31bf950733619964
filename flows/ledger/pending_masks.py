"""Masks that wait until their rows are on the disk before they are moved to masks/."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable

from flows.places.layout import files_of
from flows.places.target import Target

Stat = tuple[int, int]  # size and modification time


class PendingMasks:
    """The pending masks of the rows that one run has committed."""

    def __init__(self) -> None:
        self._noted: list[tuple[Target, str, Stat | None]] = []

    def note(self, target: Target, name: str) -> None:
        """Note that the row of this picture is committed."""
        self._noted.append((target, name, _stat(target, name)))

    def put(self) -> None:
        """Move the masks to their places; one that was corrected meanwhile stays, and the next run uses it."""
        while self._noted:
            folder, name, before = self._noted.pop()
            files = files_of(name)
            if not folder.has(files.pending_mask):
                continue
            if _stat(folder, name) == before:
                with contextlib.suppress(FileNotFoundError):  # removed at this very moment
                    folder.move(files.pending_mask, files.mask)
            else:
                folder.remove(files.pending_mask)


def end_pending(target: Target, ours: Callable[[str], bool], sha_of: Callable[[str], str | None]) -> None:
    """Move the masks whose rows were committed just before their run died to their places, and remove the others.

    So masks/ holds nothing but masks with rows and masks made by hand. `ours` is true for this shard's pictures,
    `sha_of` gives the SHA-256 of a row's mask.
    """
    for name, pending in target.pending_masks():
        if not ours(name):
            continue
        if sha_of(name) == hashlib.sha256(target.read(pending)).hexdigest():
            target.move(pending, files_of(name).mask)
        else:
            target.remove(pending)


def _stat(target: Target, name: str) -> Stat | None:
    """Size and time of the mask of a picture in masks/, if there is one."""
    try:
        return target.stat(files_of(name).mask)
    except OSError:
        return None
