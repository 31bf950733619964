"""The second step: repaints pictures under their mask files and publishes them. Stateless."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import cv2
import numpy as np

from flows.formats.difference import outside
from flows.formats.encoding import changed, converted, marked
from flows.formats.mask_files import decode_mask, encode_mask, mask_area
from flows.formats.mask_orientation import as_corrected, outline
from flows.formats.picture import BrokenPicture, Picture, UnsupportedPicture
from flows.formats.pictures import decode, orientation_of
from flows.job import Job
from flows.outcome import Outcome
from flows.places.folders import Folders, open_folders
from flows.places.layout import files_of
from flows.places.target import Target
from flows.steps import protection, strips, thumbnails
from flows.steps.animation import animate
from flows.steps.attempts import Trial, climb, concluded
from flows.steps.ladder import Masked, ladder
from flows.steps.loading import load
from flows.steps.mask_limits import EMPTY, area_objection
from flows.steps.unpainted import failed, nothing_found, unsupported
from flows.threads.interrupts import until_interrupted
from flows.threads.pipeline import ahead, in_groups, threads
from removal import load_remover
from removal.removers import ChosenRemover

GROUP = 8  # the least pictures in one call of the model
MOST_PIXELS = 200_000_000  # in a group of several pictures, for each device: some 40 bytes of memory a pixel


def remove_masked(job: Job, masked: list[Outcome]) -> Iterator[Outcome]:
    """Repaint every picture under its mask file and publish it. Yields a row once its picture is in images/.

    While the model works on one group of pictures, the next is read and the previous one is written: three are in
    memory.
    """
    if not masked:
        return
    folders = open_folders(job.source, job.target, job.format)
    remover = load(lambda: load_remover(job.model, **job.remover_options))
    size = _group_size(remover, masked)
    with threads() as pool:
        opened = until_interrupted(ahead(pool, partial(_reopen, job, folders), masked, size))
        trials = in_groups(opened, size, Masked, lambda some: climb(job, folders.target, some, ladder(job, remover)))
        waiting = 0 if job.gif else size  # an animation needs the model, so no picture may wait for it meanwhile
        for trial, outcome in ahead(pool, partial(_publish, job, folders.target), trials, waiting):
            if job.gif and trial and outcome.status == "removed":
                animate(folders.target, trial.best)
            yield outcome


def _group_size(remover: ChosenRemover, masked: list[Outcome]) -> int:
    """The number of pictures that fill the remover's batches, if it has a batch size; fewer for large pictures."""
    batch, devices = getattr(remover, "batch_size", 1), getattr(remover, "devices", 1)
    largest = max((row.width or 0) * (row.height or 0) for row in masked)
    return max(1, min(-(-GROUP // batch) * batch, devices * MOST_PIXELS // max(1, largest)))


def _reopen(job: Job, folders: Folders, outcome: Outcome) -> Masked | Outcome:
    """The picture, and its mask as the file is now, which may have been corrected by hand."""
    try:
        data = folders.source.read(outcome.source, job.max_pixels)
        if hashlib.sha256(data).hexdigest() != outcome.sha256_in:
            raise BrokenPicture("it changed while the run went on; the next run picks it up")
        picture = converted(decode(data, job.max_pixels), job.format, job.quality)
        outcome, mask = _mask(job, folders.target, outcome, picture)
        protected = protection.recall(folders.target, outcome.source, mask.shape) if job.protect else None
    except UnsupportedPicture as error:
        return unsupported(folders, outcome, str(error))
    except (BrokenPicture, OSError, MemoryError) as error:
        return failed(folders.target, outcome, error)
    if mask.shape != picture.image.shape[:2]:
        return failed(
            folders.target, outcome, ValueError(f"{files_of(outcome.source).mask} is not of the picture's size")
        )
    if not mask.any():
        return nothing_found(job, folders, outcome, EMPTY)
    if objection := area_objection(mask, job.max_area, job.invert):  # it may have been made by hand
        return failed(folders.target, outcome, ValueError(objection))
    return Masked(outcome, picture, mask, protected)


def _mask(job: Job, target: Target, outcome: Outcome, picture: Picture) -> tuple[Outcome, np.ndarray]:
    """The mask of a picture, upright, and its row. A file in another orientation than the picture is written again."""
    files, data = files_of(outcome.source), target.read(target.mask(outcome.source))
    mask = decode_mask(data, job.max_pixels)
    if picture.orientation == 1:
        return replace(outcome, sha256_mask=hashlib.sha256(data).hexdigest()), mask
    try:
        mask = as_corrected(mask, data, picture.image.shape, picture.orientation, outcome.mask_outline)
    except ValueError as error:
        raise BrokenPicture(f"{files.mask}: {error}") from error
    if orientation_of(data, job.max_pixels, as_mask=True) != picture.orientation:
        data = encode_mask(mask, picture.orientation)
        target.write(files.pending_mask, data)
    sha = hashlib.sha256(data).hexdigest()
    return replace(outcome, sha256_mask=sha, mask_outline=outline(mask)), mask


def _publish(job: Job, target: Target, trial: Trial | Outcome) -> tuple[Trial | None, Outcome]:
    """Publish the best attempt, its mask first if that differs from the initial one."""
    if isinstance(trial, Outcome):
        return None, trial
    trial = concluded(job, trial)
    best, outcome = trial.best, trial.outcome(job)
    name, picture, mask, result = outcome.source, best.masked.picture, best.mask, best.result
    if isinstance(result, Exception):
        return trial, failed(target, outcome, result)
    files = files_of(name)
    try:
        data, said = changed(marked(picture, outcome.method) if job.provenance else picture, result)
        differing = outside(picture, mask, data, job.max_pixels)
        if differing and picture.metadata.lossless:
            raise BrokenPicture(
                f"writing it as {picture.format} would change pixels outside the mask by {differing} levels"
            )
        if mask is not trial.start.mask:
            saved_mask = target.write(files.pending_mask, encode_mask(mask, picture.orientation))
            ours = outline(mask) if picture.orientation != 1 else None
            outcome = replace(outcome, sha256_mask=saved_mask, mask_outline=ours)
        saved = target.write(target.image_name(name), data)
        for earlier in (files.process, files.strip):  # they showed an earlier result
            target.remove(earlier)
        if job.concat:
            strips.draw(target, name, picture.image, mask, result)
    except (BrokenPicture, UnsupportedPicture, OSError, ValueError, MemoryError, cv2.error) as error:
        return trial, failed(target, outcome, error)
    told = "; ".join(filter(None, [outcome.reason, picture.left_out, said])) or None
    outcome = replace(
        outcome, status="removed", reason=told, file_name=target.image_name(name), mask_file_name=files.mask,
        sha256_out=saved, outside_max_diff=differing, mask_area=mask_area(mask),
    )  # fmt: skip
    thumbnails.keep(target, outcome, picture.image, result, mask, thumbnails.profile(picture))
    return trial, outcome
