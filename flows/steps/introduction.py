"""The first line of a run: what removes, what finds, and on which device."""

from __future__ import annotations

from flows.job import Job
from flows.steps.find_masks import segmenter_of
from masks.segmenters import split_name
from removal import Choice, choose
from removal.checkpoints.known import look_up


def introduction(job: Job, masks_only: bool = False, elsewhere: bool = False) -> str:
    """Such as "removing with sd15 (inpainting), finding with grounded-sam, on cuda:0".

    The device is left out where the work is done `elsewhere`. torch is imported only where something loads with it.
    """
    choice = choose(job.model, job.method, job.revision or None, offline=True, prompt=job.prompt)
    removing = "" if masks_only else _removing(job, choice)
    finding = _finding(job)
    loaded = (not masks_only and choice.uses_weights) or (not _given(job) and _is_network(segmenter_of(job)))
    where = "" if elsewhere else f"on {_device(job) if loaded else 'cpu'}"
    return ", ".join(filter(None, [removing, finding, where]))


def why_this(job: Job, choice: Choice) -> str:
    """Why `--method auto` does not simply use the checkpoint that was named; empty where it does."""
    if job.method != "auto" or not choice.uses_weights or choice.method == "auto":
        return ""
    named = look_up(job.model, job.revision or None, offline=True)
    as_named = choice.checkpoint == named and choice.method == (named.method or "inpainting")
    return "" if as_named else f"{job.model}: {choice.reason}"


def _removing(job: Job, choice: Choice) -> str:
    if not choice.uses_weights:
        return f"removing by {choice.method}, without a model"
    if choice.method == "auto":
        return f"removing with {job.model} (its config, once fetched, says how)"
    return f"removing with {job.model}" + (f" ({choice.method})" if choice.method != job.model else "")


def _finding(job: Job) -> str:
    return "masks as given" if _given(job) else f"finding with {segmenter_of(job)}"


def _given(job: Job) -> bool:
    return bool(job.masks or job.coco) and not job.protect


def _is_network(segmenter: str) -> bool:
    return segmenter == "bundled" or bool(split_name(segmenter)[1])


def _device(job: Job) -> str:
    from removal.weights.devices import devices

    return ", ".join(devices(job.device))
