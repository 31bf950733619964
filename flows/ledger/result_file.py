"""One file to one file: the file beside its records follows its picture's row, and is never somebody else's."""

from __future__ import annotations

import hashlib

from flows.errors import EnvironmentFault, UsageError
from flows.ledger.manifest import Manifest
from flows.places.folders import Folders
from flows.places.one_file import ResultFile

DELIVERED = "delivered"  # the fact with the SHA-256 of what was last written there; the row may be newer


def refuse_another(manifest: Manifest, folders: Folders) -> None:
    """Raises UsageError if a target's one file was made by somebody else, or from another picture."""
    file, name = folders.result_file, folders.source.single
    if file is None or name is None:
        return
    others = [outcome.source for outcome in manifest.outcomes(None) if outcome.source != name]
    if others:
        raise UsageError(f"{file.address} is the result of {others[0]}; give another target for {name}")
    if not _is_ours(manifest, file, name):
        raise UsageError(
            f"{file.address} is not as Cleanplate wrote it, and what others made is not overwritten; give another "
            "target, or move it away"
        )
    if there := file.sha256():
        manifest.remember(DELIVERED, there)


def deliver(manifest: Manifest, folders: Folders) -> None:
    """Make the file match its picture's row; without a result, there is no file.

    Raises EnvironmentFault if somebody changed it meanwhile, or if it cannot be written.
    """
    file, name = folders.result_file, folders.source.single
    if file is None or name is None:
        return
    if not _is_ours(manifest, file, name):
        raise EnvironmentFault(
            f"{file.address} was changed while the run went on; move it away, then run the same command again"
        )
    outcome, there = manifest.outcome(name), file.sha256()
    if outcome is None or outcome.file_name is None:
        file.remove()
    elif there != outcome.sha256_out and folders.target.has(outcome.file_name):
        data = folders.target.read(outcome.file_name)
        file.write(data)
        manifest.remember(DELIVERED, hashlib.sha256(data).hexdigest())


def _is_ours(manifest: Manifest, file: ResultFile, name: str) -> bool:
    outcome, there = manifest.outcome(name), file.sha256()
    return there is None or there in (manifest.fact(DELIVERED), outcome and outcome.sha256_out)
