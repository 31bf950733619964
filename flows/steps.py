"""The two steps of the job for some pictures: find their masks, remove what lies under them. Stateless."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from flows.faults import EnvironmentFault, raise_if_environment
from flows.folder import Folder, image_name, mask_name
from flows.pictures import (
    BrokenPicture,
    Picture,
    UnsupportedPicture,
    decode,
    decode_mask,
    encode,
    encode_image,
    encode_mask,
    strip,
)
from flows.prompt_files import Wanted, read_wishes
from flows.records import Job, Outcome, digest
from masks import Found, Segmenter, dilate, dilation_radius, fill_holes, load_segmenter
from masks.prompts import nothing, union
from masks.segmenters import refuse
from removal import PRESETS, load_remover
from removal.removers import ChosenRemover

GROUP = 8  # pictures in memory at once
LOSSLESS = frozenset({"PNG", "WEBP", "TIFF", "BMP"})


@dataclass(frozen=True)
class Opened:
    """A picture of the source, what is wanted of it, and its row so far."""

    picture: Picture
    wanted: Wanted
    outcome: Outcome


# Masks ---------------------------------------------------------------------------------------------------------------


def find_masks(job: Job, names: list[str]) -> list[Outcome]:
    """Write the mask of every picture to masks/. Returns rows with status `masked`, or what came instead."""
    folder, wishes = Folder(job.source, job.target), read_wishes(job)
    outcomes: list[Outcome] = []
    for first in range(0, len(names), GROUP):
        opened: list[Opened] = []
        for name in names[first : first + GROUP]:
            one = _open(job, folder, name, wishes.of(name))
            if isinstance(one, Outcome):
                outcomes.append(one)
            else:
                opened.append(one)
        for one, found in zip(opened, _find(job, opened), strict=True):
            outcomes.append(_masked(job, folder, one, found))
    return outcomes


def _open(job: Job, folder: Folder, name: str, wanted: Wanted) -> Opened | Outcome:
    outcome = Outcome(name, "masked", attempt=1, settings=digest(job.settings), **_asked(wanted))
    try:
        data = folder.read(name)
        outcome = replace(outcome, sha256_in=hashlib.sha256(data).hexdigest())
        picture = decode(data)
    except UnsupportedPicture as error:
        copied = folder.copy(name, image_name(name))
        return replace(outcome, status="unsupported", reason=str(error), file_name=image_name(name), sha256_out=copied)
    except (BrokenPicture, OSError) as error:
        return _failed(outcome, error)
    height, width = picture.image.shape[:2]
    return Opened(picture, wanted, replace(outcome, width=width, height=height))


def _find(job: Job, opened: list[Opened]) -> list[Found | Exception | None]:
    """What was found in each picture; None where nothing was asked, an exception where it could not be looked for."""
    asked = [(k, prompt) for k, one in enumerate(opened) if one.wanted.mask is None for prompt in one.wanted.prompts]
    hits: list[list[Found | Exception]] = [[] for _ in opened]
    name = segmenter_of(job)
    possible = []
    for k, prompt in asked:
        reason = refuse(name, prompt)
        if reason:
            hits[k].append(ValueError(reason))
        else:
            possible.append((k, prompt))
    if possible:
        segment = _load(lambda: load_segmenter(name, job.device, job.threshold, job.offline))
        results = _each(segment, [opened[k].picture.image for k, _ in possible], [prompt for _, prompt in possible])
        for (k, _), result in zip(possible, results, strict=True):
            hits[k].append(result)
    return [_given(one) if one.wanted.mask else _together(found) for one, found in zip(opened, hits, strict=True)]


def _each(segment: Segmenter, images: list[np.ndarray], prompts: list) -> list[Found | Exception]:
    """All at once; if that fails, one by one, so that a picture's trouble stays its own."""
    try:
        return list(segment(images, prompts))
    except Exception as error:
        raise_if_environment(error)
        if len(images) == 1:
            return [error]
    return [_each(segment, [image], [prompt])[0] for image, prompt in zip(images, prompts, strict=True)]


def _together(found: list[Found | Exception]) -> Found | Exception | None:
    errors = [hit for hit in found if isinstance(hit, Exception)]
    return errors[0] if errors else union([hit for hit in found if isinstance(hit, Found)]) if found else None


def _given(one: Opened) -> Found | Exception:
    """A mask that the user made: used as it is."""
    assert one.wanted.mask is not None
    try:
        mask = decode_mask(one.wanted.mask.read_bytes())
    except (BrokenPicture, UnsupportedPicture, OSError) as error:
        return ValueError(f"its mask {one.wanted.mask} cannot be read: {error}")
    if mask.shape != one.picture.image.shape[:2]:
        return ValueError(
            f"its mask {one.wanted.mask} is {mask.shape[1]}×{mask.shape[0]} pixels, the upright picture "
            f"{one.outcome.width}×{one.outcome.height}; they must be the same"
        )
    return Found(mask, 1.0) if mask.any() else nothing(one.picture.image)


def _masked(job: Job, folder: Folder, one: Opened, found: Found | Exception | None) -> Outcome:
    if isinstance(found, Exception):
        return _failed(one.outcome, found)
    if not found:
        reason = "nothing was asked of it" if found is None else "its mask is empty" if one.wanted.mask else None
        return _nothing(job, folder, one.outcome, reason)
    given = one.wanted.mask is not None
    dilation = ("0" if given else "10%") if job.dilate == "auto" else job.dilate
    whole = fill_holes(found.mask) if job.fill_holes and not given else found.mask
    radius = dilation_radius(dilation, whole)
    mask = dilate(whole, radius)
    area = round(float(mask.mean()), 6)
    outcome = replace(
        one.outcome, score=round(found.score, 4), objects=len(found.boxes) or None, dilate=radius, mask_area=area,
        segmenter="given" if given else segmenter_of(job),
    )  # fmt: skip
    if area > job.max_area:
        return _failed(outcome, ValueError(f"its mask covers {area:.0%} of the picture, more than max-area allows"))
    folder.write(mask_name(outcome.source), encode_mask(mask))
    return replace(outcome, mask_file_name=mask_name(outcome.source))


def _nothing(job: Job, folder: Folder, outcome: Outcome, reason: str | None) -> Outcome:
    folder.remove(mask_name(outcome.source))
    if job.nothing_found != "copy":
        folder.remove(image_name(outcome.source))
        status = "skipped" if job.nothing_found == "skip" else "failed"
        return replace(outcome, status=status, reason=reason or "nothing found")
    copied = folder.copy(outcome.source, image_name(outcome.source))
    return replace(
        outcome, status="nothing found", reason=reason, file_name=image_name(outcome.source), sha256_out=copied
    )


# Removal -------------------------------------------------------------------------------------------------------------


def remove_masked(job: Job, masked: list[Outcome]) -> Iterator[Outcome]:
    """Repaint every picture under its mask file and publish it. Yields a row once its picture is in images/."""
    if not masked:
        return
    folder = Folder(job.source, job.target)
    options = {key: getattr(job, key) for key in ("method", "steps", "strength", "context", "device", "dtype")}
    remover = _load(
        lambda: load_remover(
            job.model, batch_size=job.batch_size, revision=job.revision or None, offline=job.offline, **options
        )
    )
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
        results = _remove(remover, [p.image for _, p, _ in ready], [mask for _, _, mask in ready], seeds)
        share = (time.monotonic() - began) / len(ready)
        for (outcome, picture, mask), seed, result in zip(ready, seeds, results, strict=True):
            made = replace(
                outcome, model=job.model, method=remover.choice.method, revision=job.revision or None, steps=job.steps,
                strength=job.strength, seed=seed, seconds=round(share, 3),
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
        return _failed(outcome, error)
    if mask.shape != picture.image.shape[:2]:
        return _failed(outcome, ValueError(f"{mask_name(outcome.source)} is not of the picture's size"))
    return (picture, mask) if mask.any() else _nothing(job, folder, outcome, "its mask is empty")


def _remove(remover: ChosenRemover, images: list, masks: list, seeds: list) -> list[np.ndarray | Exception]:
    try:
        return list(remover(images, masks, seeds))
    except Exception as error:
        raise_if_environment(error)
        if len(images) == 1:
            return [error]
    rows = zip(images, masks, seeds, strict=True)
    return [_remove(remover, [image], [mask], [seed])[0] for image, mask, seed in rows]


def _publish(
    job: Job, folder: Folder, outcome: Outcome, picture: Picture, mask: np.ndarray, result: np.ndarray | Exception
) -> Outcome:
    name = outcome.source
    if isinstance(result, Exception):
        return _failed(outcome, result)
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
            folder.write(f"strips/{name}.png", encode_image(strip([picture.image, white, result])))
    except (BrokenPicture, UnsupportedPicture, OSError, ValueError) as error:
        return _failed(outcome, error)
    return replace(
        outcome, status="removed", file_name=image_name(name), mask_file_name=mask_name(name), sha256_out=saved,
        outside_max_diff=changed, mask_area=round(float(mask.mean()), 6),
    )  # fmt: skip


# Both ----------------------------------------------------------------------------------------------------------------


def segmenter_of(job: Job) -> str:
    """The segmenter asked for, or the one that suits the model."""
    if job.segmenter != "auto":
        return job.segmenter
    return PRESETS[job.model].segmenter if job.model in PRESETS else "grounded-sam"


def _load(loader):
    """Load weights. What is missing there is no picture's fault."""
    try:
        return loader()
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise EnvironmentFault(f"the models cannot be loaded: {error}") from error


def _failed(outcome: Outcome, error: Exception) -> Outcome:
    raise_if_environment(error)
    reason = str(error) or type(error).__name__
    return replace(outcome, status="failed", reason=reason, file_name=None, sha256_out=None)


def _asked(wanted: Wanted) -> dict:
    return {
        "text": list(wanted.texts) or None,
        "points": [list(point) for point in wanted.points] or None,
        "boxes": [list(box) for box in wanted.boxes] or None,
    }
