"""The place of a picture that is done again, until its row is committed. The earlier result stays published."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from flows.outcome import Outcome
from flows.places.layout import STAGE, files_of
from flows.places.target import Target
from flows.steps import thumbnails


def publish(target: Target, outcome: Outcome) -> None:
    """Move a picture's staged files to their places once its row is committed; nothing of the earlier result stays."""
    files = files_of(outcome.source)
    staged = files.staged()
    for new, old in ((staged.strip, files.strip), (staged.process, files.process)):
        if target.has(new):
            target.move(new, old)
        else:
            target.remove(old)
    for attempt in sorted(target.below(staged.attempts)):  # archived attempts on the way to the staged result
        target.move(f"{staged.attempts}/{attempt}", f"{files.attempts}/{attempt}")
    if outcome.mask_file_name is None:
        target.remove(files.mask)
    thumbnails.adopt(target, outcome.source)
    if outcome.file_name:  # last: while it is staged, `end_moves` knows that there is more to move
        target.move(f"{STAGE}/{outcome.file_name}", outcome.file_name)


def end_moves(target: Target, row: Callable[[str], Outcome | None]) -> None:
    """Publish the pictures whose rows were committed just before their redo died, and remove the others."""
    for name in sorted(target.below(f"{STAGE}/images")):
        outcome = row(f"images/{name}")
        if outcome and outcome.sha256_out == hashlib.sha256(target.read(f"{STAGE}/images/{name}")).hexdigest():
            publish(target, outcome)
    target.clear(STAGE)


def stage_of(target: Path) -> str:
    """The folder in a target that takes the place of the target while pictures are done again."""
    return str(target / STAGE)
