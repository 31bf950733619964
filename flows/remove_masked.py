"""The second step: some pictures are repainted under their mask files and published. Stateless."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from flows.endings import failed, nothing_found
from flows.faults import each
from flows.folder import Folder, image_name, mask_name, strip_name
from flows.pictures import (
    BrokenPicture,
    Picture,
    UnsupportedPicture,
    decode,
    decode_mask,
    encode,
    encode_image,
    strip,
)
from flows.records import REMOVER_OPTIONS, Job, Outcome
from flows.weights import load
from removal import load_remover

GROUP = 8  # pictures in memory at once
LOSSLESS = frozenset({"PNG", "WEBP", "TIFF", "BMP"})


def remove_masked(job: Job, masked: list[Outcome]) -> Iterator[Outcome]:
    """Repaint every picture under its mask file and publish it. Yields a row once its picture is in images/."""
    if not masked:
        return
    folder = Folder(job.source, job.target)
    options = {key: getattr(job, key) for key in (*REMOVER_OPTIONS, "device", "dtype", "batch_size", "offline")}
    remover = load(lambda: load_remover(job.model, revision=job.revision or None, **options))
    for first in range(0, len(masked), GROUP):
        began = time.monotonic()
        ready: list[tuple[Outcome, Picture, np.ndarray]] = []
        for outcome in masked[first : first + GROUP]:
            opened = _reopen(job, folder, outcome)
            if isinstance(opened, Outcome):
                yield opened
            else:
                ready.append((outcome, *opened))
        if not ready:
            continue
        seeds = [picture_seed(job.seed, outcome.sha256_in) for outcome, _, _ in ready]
        results = each(remover, [p.image for _, p, _ in ready], [mask for _, _, mask in ready], seeds)
        share = (time.monotonic() - began) / len(ready)
        for (outcome, picture, mask), seed, result in zip(ready, seeds, results, strict=True):
            made = replace(
                outcome, model=job.model, method=remover.choice.method, reason=remover.choice.reason,
                revision=remover.choice.checkpoint.revision, steps=remover.steps, strength=remover.strength, seed=seed,
                seconds=round(share, 3),
            )  # fmt: skip
            yield _publish(job, folder, made, picture, mask, result)


def picture_seed(seed: int, sha256: str | None) -> int:
    """The seed of one picture, from the job's seed and its content, so that neither order nor name matters."""
    return int(hashlib.sha256(f"{seed}:{sha256}".encode()).hexdigest()[:8], 16)


def _reopen(job: Job, folder: Folder, outcome: Outcome) -> tuple[Picture, np.ndarray] | Outcome:
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
    return (picture, mask) if mask.any() else nothing_found(job, folder, outcome, "its mask is empty")


def _publish(
    job: Job, folder: Folder, outcome: Outcome, picture: Picture, mask: np.ndarray, result: np.ndarray | Exception
) -> Outcome:
    name = outcome.source
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
        saved = folder.write(image_name(name), data)
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
