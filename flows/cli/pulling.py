"""Fetches a model in advance, so that a run finds it without a connection."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.errors import EnvironmentFault
from flows.job import Job
from flows.messages.counts import many
from flows.steps.find_masks import segmenter_of
from flows.steps.loading import QUIET
from flows.steps.needed_weights import to_find
from removal import PRESETS

if TYPE_CHECKING:
    from removal import Checkpoint
    from removal.weights.hub import Download


def pull_model(
    model: str,
    revision: str | None,
    accept_license: bool,
    loras: list[str],
    vae: str,
    segmenter: str,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Fetch everything that a model needs and this machine lacks; says how much. Returns what and where.

    `segmenter` finds the objects: auto for the one that a run with this model would take, none for no segmenter. Raises
    ValueError for a licence that was not accepted, EnvironmentFault for unavailable weights.
    """
    for name in QUIET.keys() - {"HF_HUB_DISABLE_PROGRESS_BARS"}:  # the hub's bars show the progress of a download
        os.environ.setdefault(name, QUIET[name])
    from removal.checkpoints.known import look_up
    from removal.checkpoints.lora import find
    from removal.checkpoints.vae import fetched
    from removal.choice import choose
    from removal.weights import hub

    try:
        row = choose(model, revision=revision, offline=False).checkpoint
        if row.base:
            _fetch(look_up(row.base, offline=False), accept_license, say)
        plan, folder = _fetch(row, accept_license, say)
        beside = [find(one).file for one in loras] + ([fetched(vae, row.family)] if vae else [])
    except hub.Unavailable as error:
        raise EnvironmentFault(str(error)) from error
    for path in beside:
        say(f"{path}")
    if segmenter != "none":
        _fetch_segmenter(model, segmenter, say)
    facts = {"model": model, "repo": None if row.is_local else row.repo, "revision": plan.commit if plan else None}
    return facts | {"path": str(folder), "license": row.license, "bytes": sum(plan.files.values()) if plan else None}


def _fetch(row: Checkpoint, accept_license: bool, say: Callable[[str], None]) -> tuple[Download | None, Path]:
    """Fetch a checkpoint after saying how large it is. Returns its size and its place."""
    from removal.checkpoints.fetch import configs_for, fetch

    plan = _plan(row, say)
    folder = fetch(row, accept_license=accept_license)
    if row.is_file:
        configs_for(row)
    return plan, folder


def _fetch_segmenter(model: str, segmenter: str, say: Callable[[str], None]) -> None:
    name = segmenter_of(Job(model=model, segmenter=segmenter))
    for weights in to_find(name):
        if not weights.here:
            say(f"{name}: {weights}")
        try:
            say(f"{weights.fetch(False)}")
        except OSError as error:
            if segmenter != "auto" or model in PRESETS:  # a preset is not complete without its segmenter
                raise EnvironmentFault(str(error)) from error
            say(f"{error}")
            say(f"The model is here; what finds objects by text, {name}, is not. Another: --segmenter NAME")
            return


def _plan(row: Checkpoint, say: Callable[[str], None]) -> Download | None:
    """Say which files of a checkpoint will be fetched, and return them; None if the hub cannot be asked."""
    from removal.checkpoints.fetch import files_wanted
    from removal.weights import hub

    if row.is_local:
        return None
    try:
        plan = hub.look(row.repo, files_wanted(row), row.revision)
        need = f"{hub.gigabytes(plan.missing)} of them to fetch" if plan.missing else "all of them here"
        say(f"{row.repo}: {many(len(plan.files), 'file')}, {hub.gigabytes(sum(plan.files.values()))}, {need}")
        return plan
    except hub.Unavailable:
        raise
    except Exception:
        return None
