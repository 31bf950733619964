"""Where a picture that is done again lies until its row is committed: the earlier result stays published till then."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from flows.outcome import Outcome
from flows.places.folder import PRIVATE, Folder, attempts_name, mask_name, process_name, strip_name
from flows.steps import thumbnails

STAGE = f"{PRIVATE}/redo"


def settle(folder: Folder, outcome: Outcome) -> None:
    """Put what is staged of a picture in its place, once its row is committed; nothing of the earlier result stays."""
    name = outcome.source
    for relative in (strip_name(name), process_name(name), *_attempts(folder, name)):
        if folder.has(f"{STAGE}/{relative}"):
            folder.move(f"{STAGE}/{relative}", relative)
        elif not relative.startswith(attempts_name(name)):
            folder.remove(relative)
    if outcome.mask_file_name is None:
        folder.remove(mask_name(name))
    thumbnails.adopt(folder, STAGE, name)
    if outcome.file_name:  # last: while it is staged, `end_moves` knows that there is more to put
        folder.move(f"{STAGE}/{outcome.file_name}", outcome.file_name)


def end_moves(folder: Folder, row: Callable[[str], Outcome | None]) -> None:
    """Settle the pictures whose rows were committed just before their redo died, and forget what else is staged."""
    for name in sorted(folder.below(f"{STAGE}/images")):
        outcome = row(f"images/{name}")
        if outcome and outcome.sha256_out == hashlib.sha256(folder.fetch(f"{STAGE}/images/{name}")).hexdigest():
            settle(folder, outcome)
    folder.clear(STAGE)


def _attempts(folder: Folder, name: str) -> list[str]:
    """Attempts at a picture that were made on its way to the staged one, and are put by."""
    place = attempts_name(name)
    return [f"{place}/{file}" for file in sorted(folder.below(f"{STAGE}/{place}"))]


def stage_of(target: Path) -> str:
    """The folder in a target that takes the place of the target while pictures are done again."""
    return str(target / STAGE)
