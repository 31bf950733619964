"""The outcomes of pictures that are not painted: failed, unsupported, or with nothing to remove."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

from flows.errors import raise_if_environment
from flows.formats.encoding import reencoded
from flows.formats.picture import BrokenPicture, UnsupportedPicture
from flows.job import Job
from flows.outcome import BY_HAND, Outcome
from flows.places.folders import Folders
from flows.places.layout import files_of
from flows.places.source import Unsettled
from flows.places.target import Target

OPENCV_OUT_OF_MEMORY = -4  # the code of its cv2.error


def failed(target: Target, outcome: Outcome, error: Exception) -> Outcome:
    """The row of a picture that failed; an earlier run's result is removed.

    Raises EnvironmentFault instead if the machine is at fault.
    """
    raise_if_environment(error)
    target.remove(target.image_name(outcome.source))
    if outcome.mask_file_name is None:
        _without_mask(target, outcome)
    else:
        target.remove_traces(outcome.source)
    return replace(outcome, status="failed", reason=_in_words(error), file_name=None, sha256_out=None)


def passed_over(target: Target, name: str, status: str, reason: str) -> Outcome:
    """The row of a file that is not begun: not a picture despite its name, such as a link, or without a place for
    results.
    """
    target.remove(target.image_name(name))
    return _without_mask(target, Outcome(name, status, reason))


def unsupported(folders: Folders, outcome: Outcome, reason: str) -> Outcome:
    """The row of a picture that is copied unchanged, since changing it would lose something."""
    target = folders.target
    name = target.image_name(outcome.source, as_it_is=True)
    if folders.result_file and name != target.image_name(outcome.source):
        as_it_is = f"{reason}; it could only be copied as it is, and {folders.result_file.name} is another format"
        return failed(target, outcome, ValueError(as_it_is))
    if name != target.image_name(outcome.source):
        target.remove(target.image_name(outcome.source))
    outcome = replace(_without_mask(target, outcome, outcome.segmenter == BY_HAND), status="unsupported", reason=reason)
    return _published(folders, outcome, name, lambda data: data)


def nothing_found(job: Job, folders: Folders, outcome: Outcome, reason: str | None) -> Outcome:
    """The row of a picture with nothing to remove, which is copied or left out, as the job says."""
    target = folders.target
    drawn_empty = outcome.segmenter == BY_HAND and outcome.mask_file_name is not None
    outcome = _with_its_mask(target, outcome) if drawn_empty else _without_mask(target, outcome)
    if job.nothing_found == "copy":
        name, outcome = target.image_name(outcome.source), replace(outcome, status="nothing found", reason=reason)
        return _published(folders, outcome, name, lambda data: reencoded(data, job.format, job.quality))
    target.remove(target.image_name(outcome.source))
    status = "skipped" if job.nothing_found == "skip" else "failed"
    return replace(outcome, status=status, reason=reason or "nothing found")


def left_to_a_person(target: Target, outcome: Outcome, reason: str) -> Outcome:
    """The row of a picture that is neither painted nor copied, since a person should look at it first."""
    target.remove(target.image_name(outcome.source))
    return replace(_without_mask(target, outcome), status="skipped", reason=reason)


def _published(folders: Folders, outcome: Outcome, name: str, as_asked: Callable[[bytes], bytes]) -> Outcome:
    """The row of a picture that is published with its pixels unchanged."""
    try:
        data = folders.source.read(outcome.source)
        if outcome.sha256_in != hashlib.sha256(data).hexdigest():
            raise Unsettled("it changed while the run went on; the next run picks it up")
        written = folders.target.write(name, as_asked(data))
    except (OSError, ValueError, BrokenPicture, UnsupportedPicture, MemoryError) as error:
        return failed(folders.target, outcome, error)
    return replace(outcome, file_name=name, sha256_out=written)


def _without_mask(target: Target, outcome: Outcome, keep: bool = False) -> Outcome:
    files = files_of(outcome.source)
    for path in (files.mask, files.pending_mask, files.protected):
        if path != files.mask or not keep:
            target.remove(path)
    target.remove_traces(outcome.source)
    return replace(
        outcome, mask_file_name=None, sha256_mask=None, mask_area=None, score=None, objects=None, dilate=None
    )


def _with_its_mask(target: Target, outcome: Outcome) -> Outcome:
    """The row of a mask that a person emptied, which stays, so that nothing is found there again."""
    target.remove(files_of(outcome.source).protected)
    target.remove_traces(outcome.source)
    return replace(outcome, mask_area=0.0, score=None, objects=None, dilate=None)


def _in_words(error: Exception) -> str:
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"{error.filename} is no longer there"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'it'} cannot be read: {error.strerror}"
    if isinstance(error, MemoryError) or getattr(error, "code", None) == OPENCV_OUT_OF_MEMORY:
        return "there is not enough memory for it"
    return str(error) or type(error).__name__
