"""How a picture ends when nothing is painted on it: failed, unsupported, or with nothing to remove."""

from __future__ import annotations

from dataclasses import replace

from flows.faults import raise_if_environment
from flows.folder import Folder, attempts_name, image_name, mask_name, pending_mask_name, process_name, strip_name
from flows.records import Outcome
from flows.settings import Job


def failed(folder: Folder, outcome: Outcome, error: Exception) -> Outcome:
    """The row of a picture that could not be done; what an earlier run may have left of it is taken away.

    Raises EnvironmentFault instead when the machine is at fault.
    """
    raise_if_environment(error)
    folder.remove(image_name(outcome.source))
    _forget(folder, outcome)
    if outcome.mask_file_name is None:
        _without_mask(folder, outcome)
    reason = str(error) or type(error).__name__
    return replace(outcome, status="failed", reason=reason, file_name=None, sha256_out=None)


def unsupported(folder: Folder, outcome: Outcome, reason: str) -> Outcome:
    """The row of a picture that is copied as it is, since changing it would lose something."""
    return _copied(folder, _without_mask(folder, outcome), "unsupported", reason)


def nothing_found(job: Job, folder: Folder, outcome: Outcome, reason: str | None) -> Outcome:
    """The row of a picture without anything to remove, which is copied, or left out, as the job says."""
    outcome = _without_mask(folder, outcome)
    if job.nothing_found == "copy":
        return _copied(folder, outcome, "nothing found", reason)
    folder.remove(image_name(outcome.source))
    status = "skipped" if job.nothing_found == "skip" else "failed"
    return replace(outcome, status=status, reason=reason or "nothing found")


def _copied(folder: Folder, outcome: Outcome, status: str, reason: str | None) -> Outcome:
    name = image_name(outcome.source)
    try:
        copied = folder.copy(outcome.source, name)
    except (OSError, ValueError) as error:
        return failed(folder, outcome, error)
    return replace(outcome, status=status, reason=reason, file_name=name, sha256_out=copied)


def _without_mask(folder: Folder, outcome: Outcome) -> Outcome:
    folder.remove(mask_name(outcome.source))
    folder.remove(pending_mask_name(outcome.source))
    _forget(folder, outcome)
    return replace(
        outcome, mask_file_name=None, sha256_mask=None, mask_area=None, score=None, objects=None, dilate=None
    )


def _forget(folder: Folder, outcome: Outcome) -> None:
    """Take away what shows how an earlier result came about."""
    folder.remove(strip_name(outcome.source))
    folder.remove(process_name(outcome.source))
    folder.clear(attempts_name(outcome.source))
