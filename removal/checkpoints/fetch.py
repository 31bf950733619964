"""Fetches a checkpoint's files from the hub, once its licence is accepted."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from removal.checkpoints.diffusers_folder import NETWORKS, license_in, license_of, needed
from removal.checkpoints.known import parent_repo
from removal.checkpoints.presets import Checkpoint
from removal.weights import hub, sums
from removal.weights.licenses import refuse_unaccepted


def fetch(
    checkpoint: Checkpoint,
    offline: bool = False,
    accept_license: bool = False,
    of: tuple[str, ...] = tuple(NETWORKS),
) -> Path:
    """The diffusers folder of a checkpoint, its own or in the hub's cache, or its single file.

    `of` names the networks whose weights are needed; configs and vocabularies always are. Raises hub.Unavailable with
    what to do, and ValueError for a licence that was not accepted.
    """
    refuse_unaccepted(checkpoint.repo, license_before(checkpoint, offline), accept_license)
    if checkpoint.is_local:
        return Path(checkpoint.repo)
    return hub.snapshot(checkpoint.repo, files_wanted(checkpoint, of), checkpoint.revision, offline)


def weights_file(checkpoint: Checkpoint, offline: bool = False, accept_license: bool = False) -> Path:
    """The one file that holds a checkpoint's weights. Raises as `fetch`, and OSError unless it has the known digest."""
    place = fetch(checkpoint, offline, accept_license)
    file = place / checkpoint.file if checkpoint.file else place
    if checkpoint.sha256:
        sums.refuse_other(file, checkpoint.sha256, "give a file that you trust: --model FILE.safetensors")
    return file


def files_wanted(checkpoint: Checkpoint, of: tuple[str, ...] = tuple(NETWORKS)) -> hub.Chosen:
    """A function that picks the files a checkpoint needs from its repo's list, for `hub.snapshot` and `hub.look`."""
    if checkpoint.file:
        return lambda names: [name for name in names if name == checkpoint.file]
    return partial(needed, variant=checkpoint.variant, of=of)


def configs_for(checkpoint: Checkpoint, offline: bool = False) -> Path:
    """The folder with the configs and the tokenizer that a single file lacks: those of the repo it descends from."""
    repo = parent_repo(checkpoint)
    return Path(repo) if Path(repo).is_dir() else hub.snapshot(repo, partial(needed, of=()), offline=offline)


def resolved(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint with the fetched commit as its revision, so that rows identify the weights."""
    if checkpoint.is_local:
        return checkpoint
    return replace(checkpoint, revision=fetch(checkpoint, offline=True, accept_license=True, of=()).name)


def license_before(checkpoint: Checkpoint, offline: bool) -> str | None:
    """A checkpoint's licence, known before its weights are fetched: from the table, else from its card."""
    if checkpoint.license or checkpoint.is_file:
        return checkpoint.license
    if checkpoint.is_local:
        return license_of(Path(checkpoint.repo))
    card = hub.one_file(checkpoint.repo, hub.CARD, checkpoint.revision, offline)
    return license_in(card.read_text(encoding="utf-8", errors="replace")) if card else None
