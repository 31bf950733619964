"""The second step: some pictures are repainted under their mask files and published. Stateless."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from flows.animation import animate
from flows.attempts import Climb, climb
from flows.endings import failed, nothing_found
from flows.folder import Folder, image_name, mask_name, process_name, strip_name
from flows.ladder import Masked, ladder
from flows.pictures import (
    BrokenPicture,
    UnsupportedPicture,
    decode,
    decode_mask,
    encode,
    encode_image,
    encode_mask,
    strip,
)
from flows.records import Job, Outcome
from flows.weights import load
from removal import load_remover

GROUP = 8  # pictures in memory at once
LOSSLESS = frozenset({"PNG", "WEBP", "TIFF", "BMP"})


def remove_masked(job: Job, masked: list[Outcome]) -> Iterator[Outcome]:
    """Repaint every picture under its mask file and publish it. Yields a row once its picture is in images/."""
    if not masked:
        return
    folder = Folder(job.source, job.target)
    remover = load(lambda: load_remover(job.model, **job.remover_options))
    for first in range(0, len(masked), GROUP):
        began = time.monotonic()
        ready: list[Masked] = []
        for outcome in masked[first : first + GROUP]:
            opened = _reopen(job, folder, outcome)
            if isinstance(opened, Outcome):
                yield opened
            else:
                ready.append(opened)
        climbs = climb(job, folder, ready, ladder(job, remover))
        share = (time.monotonic() - began) / max(1, sum(one.made for one in climbs))  # of one attempt
        for one in climbs:
            outcome = _publish(job, folder, one, round(share * one.made, 3))
            if job.gif and outcome.status == "removed":
                animate(folder, one.best)
            yield outcome


def _reopen(job: Job, folder: Folder, outcome: Outcome) -> Masked | Outcome:
    """The picture and the mask as its file says now, which may have been corrected by hand."""
    try:
        data = folder.read(outcome.source)
        if hashlib.sha256(data).hexdigest() != outcome.sha256_in:
            raise BrokenPicture("it changed while the run went on; the next run takes it up")
        picture = decode(data)
        mask = decode_mask(folder.path(mask_name(outcome.source)).read_bytes())
    except (BrokenPicture, UnsupportedPicture, OSError) as error:
        return failed(folder, outcome, error)
    if mask.shape != picture.image.shape[:2]:
        return failed(folder, outcome, ValueError(f"{mask_name(outcome.source)} is not of the picture's size"))
    return Masked(outcome, picture, mask) if mask.any() else nothing_found(job, folder, outcome, "its mask is empty")


def _publish(job: Job, folder: Folder, climbed: Climb, seconds: float) -> Outcome:
    """Put the best attempt in its place, its mask first where that is another than the one it started from."""
    best, outcome = climbed.best, replace(climbed.outcome(job), seconds=seconds)
    name, picture, mask, result = outcome.source, best.masked.picture, best.masked.mask, best.result
    if isinstance(result, Exception):
        return failed(folder, outcome, result)
    try:
        data = encode(picture, result)
        written = decode(data).image if picture.format in LOSSLESS else result
        outside = np.abs(written.astype(int) - picture.image.astype(int))[~mask]
        changed = int(outside.max()) if outside.size else 0
        if changed:
            raise BrokenPicture(
                f"writing it as {picture.format} would change pixels outside the mask by {changed} levels"
            )
        if best.masked is not climbed.start:
            folder.write(mask_name(name), encode_mask(mask))
        saved = folder.write(image_name(name), data)
        folder.remove(process_name(name))  # it showed how an earlier result came about
        if job.concat:
            white = np.repeat(mask[..., None] * np.uint8(255), 3, axis=2)
            shown = encode_image(strip([picture.image, white, result]), picture.format)
            folder.write(strip_name(name), shown)
    except (BrokenPicture, UnsupportedPicture, OSError, ValueError) as error:
        return failed(folder, outcome, error)
    return replace(
        outcome, status="removed", file_name=image_name(name), mask_file_name=mask_name(name), sha256_out=saved,
        outside_max_diff=changed, mask_area=round(float(mask.mean()), 6),
    )  # fmt: skip
