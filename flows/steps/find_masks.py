"""The first step: writes masks of what to remove as files, which can be inspected and corrected. Stateless."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cache, partial

import cv2
import numpy as np

from flows.errors import each
from flows.formats.encoding import converted
from flows.formats.mask_files import encode_mask, mask_area
from flows.formats.mask_orientation import outline
from flows.formats.picture import BrokenPicture, Picture, UnsupportedPicture
from flows.formats.pictures import decode, measure, orientation_of
from flows.job import Job
from flows.outcome import Outcome, digest
from flows.places.folders import Folders, open_folders
from flows.places.layout import files_of
from flows.requests.job_requests import read_requests
from flows.requests.request import Request
from flows.settings.own_code import refuse_unnamed
from flows.steps import given_masks, protection, thumbnails
from flows.steps.loading import load
from flows.steps.mask_limits import area_objection
from flows.steps.region import in_region
from flows.steps.unpainted import failed, left_to_a_person, nothing_found, unsupported
from flows.threads.interrupts import until_interrupted
from flows.threads.pipeline import ahead, in_groups, threads
from flows.threads.watchdog import extend_deadline
from masks import Found, Prompt, Segmenter, dilation_radius, fill_holes, load_segmenter, shadow_of
from masks.prompts import outside, union
from masks.segmenters import objection
from masks.selection import TooManyFound, select
from masks.tiles import Tiled
from removal import PRESETS

TOGETHER = 8  # pictures in one call of the segmenter
Looked = Found | Exception | None  # the find, the reason why there is none, or None if nothing was asked


@dataclass(frozen=True)
class Opened:
    """A picture of the source, its request, and its row so far.

    The picture is left out if its mask is given: decoding is most of the work of this step.
    """

    request: Request
    outcome: Outcome
    picture: Picture | None = None
    orientation: int = 1  # as the picture is stored

    @property
    def image(self) -> np.ndarray:
        """H×W×3 uint8; empty for a picture that is not decoded."""
        return self.picture.image if self.picture else np.empty((0, 0, 3), np.uint8)


def find_masks(job: Job, names: list[str]) -> list[Outcome]:
    """Write the mask of every picture to masks/.

    Returns rows with status `masked`, or another outcome. While the model works on one group of pictures, the next is
    read and the masks of the previous one are written.
    """
    folders = open_folders(job.source, job.target, job.format)
    requests = read_requests(job).among(cache(folders.names))
    with threads() as pool:
        opened = until_interrupted(
            ahead(pool, lambda name: _open(job, folders, name, requests.of(name)), names, TOGETHER)
        )
        found = in_groups(opened, TOGETHER, Opened, lambda some: zip(some, *_find(job, some), strict=True))
        return list(ahead(pool, partial(_masked, job, folders), found, TOGETHER))


def _open(job: Job, folders: Folders, name: str, request: Request) -> Opened | Outcome:
    outcome = Outcome(name, "masked", attempt=1, settings=digest(job.settings), **_asked(request))
    try:
        data = folders.source.read(name, job.max_pixels)
        outcome = replace(outcome, sha256_in=hashlib.sha256(data).hexdigest())
        looked_at = not request.given or job.protect or job.shadow
        picture = converted(decode(data, job.max_pixels), job.format, job.quality) if looked_at else None
        height, width = picture.image.shape[:2] if picture else measure(data, job.max_pixels)
        orientation = picture.orientation if picture else orientation_of(data, job.max_pixels) or 1
    except UnsupportedPicture as error:
        return unsupported(folders, outcome, str(error))
    except (BrokenPicture, OSError, MemoryError) as error:
        return failed(folders.target, outcome, error)
    return Opened(request, replace(outcome, width=width, height=height), picture, orientation)


def _find(job: Job, opened: list[Opened]) -> tuple[list[Looked], list[Looked]]:
    """The finds in each picture (None if a mask is given), and what is protected there.

    Both are asked in one call, so that a picture is encoded only once.
    """
    asked = [[] if one.request.given else one.request.prompts for one in opened]
    images = [one.image for one in opened]
    kept = [protection.phrases(job.protect)] * len(opened)
    regions = [one.request.where(job.region) for one in opened]
    if not any(regions):
        looked = look_for(job, [*images, *images], [*asked, *kept])
        return looked[: len(opened)], looked[len(opened) :]
    return in_region(regions, images, asked, kept, partial(look_for, job))


def look_for(job: Job, images: list[np.ndarray], prompts: list[list[Prompt]]) -> list[Looked]:
    """The job's segmenter's finds for each picture's prompts; an exception if it could not look for them.

    The segmenter is loaded when there is something to look for.
    """
    hits: list[list[Found | Exception]] = [[] for _ in images]
    name = segmenter_of(job)
    possible = []
    for k, prompt in ((k, prompt) for k, asked in enumerate(prompts) for prompt in asked):
        if reason := objection(name, prompt) or outside(prompt, images[k]):
            hits[k].append(ValueError(reason))
        else:
            possible.append((k, prompt))
    if possible:
        refuse_unnamed(name)
        segment = load(lambda: load_segmenter(name, job.device.split(",")[0], job.threshold, job.offline, job.dtype))
        segment = segment if job.tiles == 1 else Tiled(_awake(segment), job.tiles)
        results = each(segment, [images[k] for k, _ in possible], [prompt for _, prompt in possible])
        for (k, _), result in zip(possible, results, strict=True):
            hits[k].append(result)
    return [_together(found) for found in hits]


def _awake(segment: Segmenter) -> Segmenter:
    """A segmenter that tells the watchdog of every call: a picture of many parts takes longer than a whole one."""

    def look(images: list[np.ndarray], prompts: list[Prompt]) -> list[Found]:
        extend_deadline(1)
        return segment(images, prompts)

    return look


def _together(found: list[Found | Exception]) -> Looked:
    errors = [hit for hit in found if isinstance(hit, Exception)]
    return errors[0] if errors else union([hit for hit in found if isinstance(hit, Found)]) if found else None


def _masked(job: Job, folders: Folders, looked: tuple[Opened, Looked, Looked] | Outcome) -> Outcome:
    if isinstance(looked, Outcome):
        return looked
    one, found, kept = looked
    given, told = found, None
    try:
        if one.request.given:
            size = one.outcome.width or 0, one.outcome.height or 0
            given, told = given_masks.read(job, one.request, *size, one.orientation)
        outcome = _concluded(job, folders, one, given, kept, told)
    except (MemoryError, cv2.error) as error:
        outcome = failed(folders.target, one.outcome, error)
    if outcome.status != "masked":
        if one.picture is None:
            thumbnails.make(folders.target, [outcome.row()], folders.source)
        else:
            shown = {"after" if outcome.file_name else "before": one.image}
            thumbnails.keep(folders.target, outcome, **shown, icc=thumbnails.profile(one.picture))
    return outcome


def _concluded(
    job: Job, folders: Folders, one: Opened, found: Looked, kept: Looked, told: str | None = None
) -> Outcome:
    """The row of a picture, with the remark `told`, once its mask or its copy is in its place."""
    if isinstance(kept, Exception):
        return failed(folders.target, one.outcome, ValueError(f"what to protect could not be looked for: {kept}"))
    if isinstance(found, Exception):
        line = f" (prompts, line {one.request.line})" if one.request.line else ""
        return failed(folders.target, one.outcome, ValueError(f"{found}{line}") if line else found)
    left_out = told
    if found and not one.request.given:
        try:
            found, left_out = select(found, one.request.selection(job.selection))
        except TooManyFound as many:
            return left_to_a_person(folders.target, one.outcome, str(many))
    if not found:
        reason = "nothing was asked of it" if found is None else left_out
        if found is not None and one.request.given:
            reason = "; ".join(filter(None, [given_masks.why_empty(one.request), told]))
        return nothing_found(job, folders, one.outcome, reason)
    return _written(job, folders, one, found, protection.grown(kept), left_out)


def _written(
    job: Job, folders: Folders, one: Opened, found: Found, protected: np.ndarray | None, left_out: str | None = None
) -> Outcome:
    given = one.request.given
    as_it_is = given or job.invert  # what stays must not shrink from its edges
    dilation = ("0" if as_it_is else "10%") if job.dilate == "auto" else job.dilate
    whole = fill_holes(found.mask) if job.fill_holes and not as_it_is else found.mask
    radius = dilation_radius(dilation, whole)
    if job.shadow:
        whole = whole | shadow_of(one.image, whole)
    mask, reason = protection.spare(whole, radius, protected, job.protect)
    if not mask.any():
        return nothing_found(job, folders, one.outcome, reason)
    area, said = mask_area(mask), "; ".join(filter(None, [left_out, reason])) or None
    outcome = replace(
        one.outcome, reason=said, score=round(found.score, 4), objects=len(found.boxes) or None, dilate=radius,
        mask_area=area, segmenter="given" if given else segmenter_of(job),
    )  # fmt: skip
    if objection := area_objection(mask, job.max_area, job.invert):
        labels = "; of a label map --mask-label chooses what is meant" if one.request.masks else ""
        return failed(folders.target, outcome, ValueError(f"{objection}{labels}"))
    try:
        folders.target.refuse_obstacles(files_of(outcome.source).mask)
        protection.remember(folders.target, outcome.source, protected)
        saved = folders.target.write(files_of(outcome.source).pending_mask, encode_mask(mask, one.orientation))
    except ValueError as error:
        return failed(folders.target, outcome, error)
    ours = outline(mask) if one.orientation != 1 else None
    mask_file = files_of(outcome.source).mask
    return replace(outcome, mask_file_name=mask_file, sha256_mask=saved, mask_outline=ours)


def segmenter_of(job: Job) -> str:
    """The segmenter that the job names, or the one that suits its model."""
    if job.segmenter != "auto":
        return job.segmenter
    return PRESETS[job.model].segmenter if job.model in PRESETS else "grounded-sam"


def _asked(request: Request) -> dict:
    return {
        "text": list(request.texts) or None,
        "points": [list(point) for point in request.points] or None,
        "boxes": [list(box) for box in request.boxes] or None,
    }
