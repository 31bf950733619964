"""The ladder: the ways to remove from a picture, each for those that are still doubtful after the one before."""

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

MORE = "10%"  # of the object's size, that a doubtful picture's mask is grown by


@dataclass(frozen=True)
class Masked:
    """A picture of the source, the mask (H×W bool) of what is to go from it, and its row so far.

    No mask grows into what is `protected` (H×W bool).
    """

    outcome: Outcome
    picture: Picture
    mask: np.ndarray
    protected: np.ndarray | None = None

    def wider(self, mask: np.ndarray) -> np.ndarray:
        """A mask that this one grew to, without what it gained of what is protected."""
        return mask if self.protected is None else mask & (self.mask | ~self.protected)


@dataclass(frozen=True)
class Rung:
    """One way: what removes, why that, and the mask made from the first one (None: the mask that did best so far)."""

    remover: ChosenRemover
    reason: str
    widen: Callable[[Masked], Masked] | None = None


def ladder(job: Job, remover: ChosenRemover) -> Iterator[Rung]:
    """As the job says; with another seed; under a grown mask; under its hull; attentively; and by PatchMatch.

    What would be the same again is left out. Each way is loaded when its turn comes.
    """
    chosen = remover.choice
    yield Rung(remover, chosen.reason)
    if remover.steps is not None:  # what takes no steps draws nothing at random
        yield Rung(remover, chosen.reason)
    yield Rung(remover, chosen.reason, grown)
    yield Rung(remover, chosen.reason, hulled)
    stayed = f"{chosen.method} stayed doubtful"
    if attentive := _attentive(job, chosen):
        yield Rung(attentive, stayed)
    if chosen.method != "patchmatch":
        yield Rung(FillRemover(choose(job.model, "patchmatch"), partial(patchmatch.fill, context=job.context)), stayed)


def grown(first: Masked) -> Masked:
    """The same picture under a mask that reaches farther, as for a shadow or a halo that the first one left."""
    radius = dilation_radius(MORE, first.mask)
    outcome = replace(first.outcome, dilate=(first.outcome.dilate or 0) + radius)
    return replace(first, outcome=outcome, mask=first.wider(dilate(first.mask, radius)))


def hulled(first: Masked) -> Masked:
    """The same under the hulls of a grown mask, from which nobody guesses the outline of what was there."""
    wider = grown(first)
    return replace(wider, mask=first.wider(hull(wider.mask)))


def _attentive(job: Job, chosen: Choice) -> ChosenRemover | None:
    """The same weights with another method, where that is another and they are available."""
    checkpoint = chosen.checkpoint
    if chosen.method == "attentive" or checkpoint.method or checkpoint.in_channels not in (4, 9):
        return None
    options = job.remover_options | {"method": "attentive", "revision": checkpoint.revision, "compile": "off"}
    try:
        return load_remover(checkpoint.repo, **options)
    except (OSError, ValueError, ImportError, RuntimeError) as error:  # such as no room for it on the GPU
        raise_if_environment(error)
        return None
