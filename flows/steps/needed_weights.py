"""The weights that a job needs: present or missing, with their sizes and sources."""

from __future__ import annotations

import shlex
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.errors import EnvironmentFault
from flows.job import Job
from flows.steps.find_masks import segmenter_of
from masks import sam
from masks.segmenters import SIZES, split_name
from removal import PRESETS, Checkpoint, choose

WAIT = 10  # seconds for a host to answer
HUB = "https://huggingface.co/"
FILES = (".json", ".txt", ".model", ".safetensors")  # files that are loaded from a transformers repo
CLASSIC = "--model classic with --point or --box; --method patchmatch or telea with --masks or --coco"
SMALL = 200e6  # bytes of weights, below which a network takes seconds on a CPU; SD 1.5 has 2 GB in half precision
UNITS = {"GB": 1e9, "MB": 1e6}


@dataclass(frozen=True)
class Weights:
    """Weights by name, with their address, their size in bytes (None: unknown), and True if they are here.

    `fetch` gets missing ones; its argument is True if downloads are forbidden. Raises OSError.
    """

    name: str
    origin: str
    size: int | None
    fetch: Callable[[bool], Any]
    finds: bool = False  # True for a segmenter's weights, False for a remover's

    @property
    def here(self) -> bool:
        try:
            self.fetch(True)
        except (OSError, ValueError):
            return False
        return True

    def __str__(self) -> str:
        return f"{self.name} ({'of unknown size' if self.size is None else in_bytes(self.size)}, {self.origin})"


def in_bytes(size: int) -> str:
    """A size in words, such as 2.1 GB or 375 MB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def in_words(weights: list[Weights]) -> str:
    """The sizes in words, as far as they are known, such as "2.5 GB (sd15 2.1 GB, vit_b 375 MB)"."""
    known = sum(one.size or 0 for one in weights)
    unsure = " and more" if any(one.size is None for one in weights) else ""
    return f"{in_bytes(known)}{unsure} of weights to fetch first: {'; '.join(map(str, weights))}"


def needed(job: Job, masks_only: bool = False) -> list[Weights]:
    """The weights that a job loads from outside the package, except those in a folder or file of this machine."""
    found = [] if (job.masks or job.coco) and not job.protect else list(to_find(segmenter_of(job)))
    return found if masks_only else [*found, *_to_remove(job)]


def to_find(segmenter: str) -> Iterator[Weights]:
    """The weights of a segmenter, its detector's first."""
    _, weights, detector = split_name(segmenter)
    for one in (detector, weights):
        if one in sam.PUBLISHED:
            address = f"{sam.URL}{sam.PUBLISHED[one]}"
            yield Weights(f"SAM {one}", address, SIZES.get(one), _sam(one), True)
        elif _is_hub_id(one):
            repo, _, revision = one.partition("@")
            yield Weights(repo, HUB + repo, SIZES.get(one), _snapshot(repo, _loadable, revision or None), True)


def _to_remove(job: Job) -> Iterator[Weights]:
    from removal.checkpoints import lora, vae
    from removal.checkpoints.diffusers_folder import network_needed
    from removal.checkpoints.fetch import files_wanted
    from removal.checkpoints.known import look_up

    checkpoint = choose(job.model, job.method, job.revision or None, offline=True, prompt=job.prompt).checkpoint
    if checkpoint.repo and not checkpoint.method and job.prefill == "lama":
        start = PRESETS["lama"]
        yield Weights(
            start.repo, HUB + start.repo, _bytes(start.size), _snapshot(start.repo, files_wanted(start), start.revision)
        )
    if not checkpoint.repo:
        return  # a method without weights
    for one in (checkpoint, *([look_up(checkpoint.base)] if checkpoint.base else [])):
        if not one.is_local:
            fetch = _snapshot(one.repo, files_wanted(one), one.revision)
            yield Weights(one.repo, HUB + one.repo, _bytes(one.size), fetch)
    if job.method == "controlnet":
        from removal.methods import controlnet

        yield Weights(controlnet.INPAINT, HUB + controlnet.INPAINT, None, _snapshot(controlnet.INPAINT, network_needed))
    for place in job.lora:
        repo = "/".join(lora.parse_lora(place)[0].split("/")[:2])
        if _is_hub_id(repo):
            yield Weights(repo, HUB + repo, None, lambda offline, place=place: lora.find(place, offline))  # type: ignore[misc]
    repo = vae.TAESD.get(checkpoint.family or "sd15", "") if job.vae == "taesd" else job.vae
    if _is_hub_id(repo):
        yield Weights(repo, HUB + repo, None, lambda offline: vae.fetched(job.vae, checkpoint.family, offline))


def missing(job: Job, masks_only: bool = False) -> list[Weights]:
    """The weights that a job needs and this machine lacks."""
    return [one for one in needed(job, masks_only) if not one.here]


def refuse_unreachable(job: Job, weights: list[Weights]) -> None:
    """Raises EnvironmentFault, with what to do, if missing weights cannot be fetched now."""
    reason = why_unreachable(weights, job.offline)
    if reason is None:
        return
    raise EnvironmentFault(
        f"weights that this needs are not on this machine, and cannot be fetched: {reason}.\n"
        + "".join(f"  missing: {one}\n" for one in weights)
        + f"Where there is a connection, `{pull_of(job)}` fetches all of them, into HF_HOME and TORCH_HOME; behind a "
        f"proxy set HTTPS_PROXY, for a mirror of the hub HF_ENDPOINT. What works without any: "
        f"{CLASSIC}; --model bundled on sample scenes"
    )


def slow_here(job: Job) -> str:
    """A warning for a diffusion job on a machine without a GPU; empty if nothing is slow."""
    from removal.weights.devices import devices

    checkpoint = choose(job.model, job.method, job.revision or None, offline=True, prompt=job.prompt).checkpoint
    if not checkpoint.repo or (checkpoint.method and not checkpoint.in_channels) or _is_small(checkpoint):
        return ""  # no weights, or those of a small network of another kind
    if any(device != "cpu" for device in devices(job.device)):
        return ""
    return (
        f"{job.model} paints on a CPU here, which takes minutes a picture; in seconds and without weights: {CLASSIC}; "
        f"in seconds with {PRESETS['lama'].size} of weights: --model lama"
    )


def _is_small(checkpoint: Checkpoint) -> bool:
    """True if a checkpoint on this machine is a small network, such as those in the package."""
    place = Path(checkpoint.repo)
    files = [place] if place.is_file() else [*place.rglob("*.safetensors")]
    return checkpoint.is_local and sum(file.stat().st_size for file in files) < SMALL


def pull_of(job: Job) -> str:
    """The command that fetches what a job needs."""
    words = ["cleanplate", "models", "pull", job.model]
    if job.segmenter != "auto":
        words += ["--segmenter", job.segmenter]
    words += [word for place in job.lora for word in ("--lora", place)] + (["--vae", job.vae] if job.vae else [])
    return shlex.join(words)


def why_unreachable(weights: list[Weights], offline: bool = False) -> str | None:
    """The reason why one of these cannot be fetched, by asking their hosts; None if there is none."""
    from removal.weights import hub

    if not weights:
        return None
    if offline or hub.switched_off():
        return "--offline forbids it" if offline else "HF_HUB_OFFLINE forbids it"
    reasons = [hub.why_unreachable(WAIT)] if any(one.origin.startswith(HUB) for one in weights) else []
    reasons += [_why_not(one.origin) for one in weights if not one.origin.startswith(HUB)]
    return next(filter(None, reasons), None)


def _why_not(address: str) -> str | None:
    host = address.split("/")[2]
    try:
        urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=WAIT).close()
    except urllib.error.HTTPError as error:
        return f"{host} answers {error.code} {error.reason}"
    except OSError as error:
        return f"{host} cannot be reached ({getattr(error, 'reason', error)})"
    return None


def _sam(size: str) -> Callable[[bool], Path]:
    return lambda offline: sam.fetch(size, offline)


def _snapshot(repo: str, chosen: Any, revision: str | None = None) -> Callable[[bool], Path]:
    def fetch(offline: bool) -> Path:
        from removal.weights import hub

        return hub.snapshot(repo, chosen, revision, offline)

    return fetch


def _loadable(names: list[str]) -> list[str]:
    """The files of a repo that transformers loads. Raises ValueError without safetensors."""
    files = [name for name in names if "/" not in name and name.endswith(FILES)]
    if not any(name.endswith(".safetensors") for name in files):
        raise ValueError("has no .safetensors, and other weights can hold code")
    return files


def _is_hub_id(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "~", "/")) and not Path(name).exists()


def _bytes(size: str | None) -> int | None:
    number, unit = (size or "0 GB").split()
    return round(float(number) * UNITS[unit]) or None
