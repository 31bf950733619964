"""Fetching a model by hand, so that a run finds it without a connection."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from flows.errors import EnvironmentFault
from flows.job import Job
from flows.steps.find_masks import segmenter_of
from flows.steps.loading import QUIET
from flows.steps.needed_weights import to_find
from removal import PRESETS


def pull_model(
    model: str,
    revision: str | None,
    accept_license: bool,
    loras: list[str],
    vae: str,
    segmenter: str,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Fetch what a model needs, unless it is here; says how much. Returns what and where.

    `segmenter` is what finds the objects: auto for what a run with this model would take, none for nothing. Raises
    ValueError for a licence that was not accepted, EnvironmentFault for what is unavailable.
    """
    for name in QUIET.keys() - {"HF_HUB_DISABLE_PROGRESS_BARS"}:  # the hub's bars show how far a download is
        os.environ.setdefault(name, QUIET[name])
    from removal.checkpoints.fetch import configs_for, fetch, files_wanted
    from removal.checkpoints.lora import find
    from removal.checkpoints.vae import fetched
    from removal.choice import choose
    from removal.weights import hub

    try:
        row = choose(model, revision=revision, offline=False).checkpoint
        plan = None if row.is_local else _plan(row.repo, files_wanted(row), row.revision)
        if plan:
            need = f"{hub.gigabytes(plan.missing)} of them to fetch" if plan.missing else "all of them here"
            say(f"{row.repo}: {len(plan.files)} files, {hub.gigabytes(sum(plan.files.values()))}, {need}")
        folder = fetch(row, accept_license=accept_license)
        if row.is_file:
            configs_for(row)
        beside = [find(one).file for one in loras] + ([fetched(vae, row.family)] if vae else [])
    except hub.Unavailable as error:
        raise EnvironmentFault(str(error)) from error
    for path in beside:
        say(f"{path}")
    if segmenter != "none":
        _fetch_segmenter(model, segmenter, say)
    facts = {"model": model, "repo": None if row.is_local else row.repo, "revision": plan.commit if plan else None}
    return facts | {"path": str(folder), "license": row.license, "bytes": sum(plan.files.values()) if plan else None}


def _fetch_segmenter(model: str, segmenter: str, say: Callable[[str], None]) -> None:
    name = segmenter_of(Job(model=model, segmenter=segmenter))
    for weights in to_find(name):
        if not weights.here:
            say(f"{name}: {weights}")
        try:
            say(f"{weights.fetch(False)}")
        except OSError as error:
            if segmenter != "auto" or model in PRESETS:  # a preset is not whole without what finds the objects
                raise EnvironmentFault(str(error)) from error
            say(f"{error}")
            say(f"The model is here; what finds objects by text, {name}, is not. Another: --segmenter NAME")
            return


def _plan(repo: str, chosen: Any, revision: str | None) -> Any:
    """What is to be fetched; None where the hub cannot say, and the cache may have it."""
    from removal.weights import hub

    try:
        return hub.look(repo, chosen, revision)
    except hub.Unavailable:
        raise
    except Exception:
        return None
