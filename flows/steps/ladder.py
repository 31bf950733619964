"""The ladder: ways to remove an object, each for the pictures that are still doubtful after the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from flows.errors import raise_if_environment
from flows.formats.picture import Picture
from flows.job import Job
from flows.outcome import Outcome
from masks import dilate, dilation_radius, hull
from removal import Choice, choose, load_remover
from removal.fills import patchmatch
from removal.fills.remover import FillRemover
from removal.removers import ChosenRemover

MORE = "10%"  # growth of a doubtful picture's mask, as a share of the object's size


@dataclass(frozen=True)
class Masked:
    """A picture of the source, the mask (H×W bool) of what to remove, and its row so far.

    No mask grows into `protected` (H×W bool).
    """

    outcome: Outcome
    picture: Picture
    mask: np.ndarray
    protected: np.ndarray | None = None

    def wider(self, mask: np.ndarray) -> np.ndarray:
        """This mask grown to another, except into what is protected."""
        return mask if self.protected is None else mask & (self.mask | ~self.protected)


@dataclass(frozen=True)
class Rung:
    """One way: the remover, the reason for it, and how its mask is made from the first (None: the best mask so far)."""

    remover: ChosenRemover
    reason: str
    widen: Callable[[Masked], Masked] | None = None


def ladder(job: Job, remover: ChosenRemover) -> Iterator[Rung]:
    """The rungs: as the job says, with another seed, with a grown mask, with its hull, by attentive, by PatchMatch.

    Repetitions are left out. Each way is loaded when its turn comes.
    """
    chosen = remover.choice
    yield Rung(remover, chosen.reason)
    if remover.steps is not None:  # a remover without steps draws no random numbers
        yield Rung(remover, chosen.reason)
    yield Rung(remover, chosen.reason, grown)
    yield Rung(remover, chosen.reason, hulled)
    stayed = f"{chosen.method} stayed doubtful"
    if attentive := _attentive(job, chosen):
        yield Rung(attentive, stayed)
    if chosen.method != "patchmatch":
        yield Rung(FillRemover(choose(job.model, "patchmatch"), partial(patchmatch.fill, context=job.context)), stayed)


def grown(first: Masked) -> Masked:
    """The same picture with a larger mask, for a shadow or a halo that the first one left."""
    radius = dilation_radius(MORE, first.mask)
    outcome = replace(first.outcome, dilate=(first.outcome.dilate or 0) + radius)
    return replace(first, outcome=outcome, mask=first.wider(dilate(first.mask, radius)))


def hulled(first: Masked) -> Masked:
    """The same with the hulls of a grown mask, which hide the object's outline from the model."""
    wider = grown(first)
    return replace(wider, mask=first.wider(hull(wider.mask)))


def _attentive(job: Job, chosen: Choice) -> ChosenRemover | None:
    """The same weights with the method attentive; None if that is the method already, or if they are unavailable."""
    checkpoint = chosen.checkpoint
    if chosen.method == "attentive" or checkpoint.method or checkpoint.in_channels not in (4, 9):
        return None
    options = job.remover_options | {"method": "attentive", "revision": checkpoint.revision, "compile": "off"}
    try:
        return load_remover(checkpoint.repo, **options)
    except (OSError, ValueError, ImportError, RuntimeError) as error:  # such as too little memory on the GPU
        raise_if_environment(error)
        return None
