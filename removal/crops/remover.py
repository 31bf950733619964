"""A remover around a painter of crops: cuts a crop around every mask, has them painted in batches, pastes them back."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np

from removal.checkpoints.presets import Choice
from removal.crops import tone
from removal.crops.crop import Crop, check, cut, paste, placed, put
from removal.crops.device_turn import device_turn
from removal.crops.grouping import group
from removal.crops.workers import DistributedBatches
from removal.weights.batches import Batches

THREADS = min(8, os.cpu_count() or 1)  # that cut and paste


class Denoising(Protocol):
    """The number of steps and the strength (0 to 1) that a painter or a remover settled on; None: it has none."""

    @property
    def steps(self) -> int | None: ...
    @property
    def strength(self) -> float | None: ...


class Paint(Denoising, Protocol):
    """Paints square crops of `resolution` pixels a side: one patch R×R×3 uint8 for each, from its own seed.

    A painter that also removes an object's effects, such as its shadow, returns R×R×4: the fourth channel is 255
    wherever it changed something.
    """

    @property
    def resolution(self) -> int: ...
    def __call__(self, crops: list[Crop], seeds: list[int]) -> list[np.ndarray]: ...


class PaintInSteps(Paint, Protocol):
    """A painter that can show the patches of all crops after every step; the last ones are the result."""

    def by_step(self, crops: list[Crop], seeds: list[int], batches: Batches) -> Iterator[list[np.ndarray]]: ...


@dataclass(frozen=True)
class Painted:
    """A crop, its patch R×R×3 uint8 in the tone of its surroundings, and the changed pixels (R×R bool).

    These are None for a model that does not report them; then only masked pixels count.
    """

    crop: Crop
    patch: np.ndarray
    changed: np.ndarray | None

    @classmethod
    def of(cls, crop: Crop, painted: np.ndarray) -> Painted:
        """From what a `Paint` gives."""
        changed = painted[..., 3] > 0 if painted.shape[2] == 4 else None
        hole = crop.mask if changed is None else crop.mask | changed  # around it the picture is as it was
        return cls(crop, tone.match_ring(crop.image, hole, painted[..., :3]), changed)


@dataclass(frozen=True)
class CropRemover:
    """Cuts a crop around every mask, has them painted in batches, and pastes the masked pixels back.

    `batch_size` crops are painted at once, permanently fewer if the device runs out of memory; with `whole_batches`
    short batches are filled up. Several `devices` share the batches, and `alone` loads a remover for one of them.
    """

    choice: Choice
    paint: Paint
    context: float
    batch_size: int
    whole_batches: bool = False
    devices: int = 1
    alone: Callable[[], CropRemover] | None = None

    @functools.cached_property
    def _batches(self) -> Batches | DistributedBatches:
        if self.devices > 1:
            return DistributedBatches(self.batch_size // self.devices, self.devices)
        return Batches(self.batch_size, self.whole_batches)

    @property
    def _turn(self) -> AbstractContextManager[object]:
        """A block in which nothing else is painted here. Several devices need none, since each batch gets a device of
        its own.
        """
        return nullcontext() if self.devices > 1 else device_turn()

    @property
    def steps(self) -> int | None:
        return self.paint.steps

    @property
    def strength(self) -> float | None:
        return self.paint.strength

    def __call__(
        self,
        images: list[np.ndarray],
        masks: list[np.ndarray],
        seeds: list[int],
        avoid: list[np.ndarray | None] | None = None,
    ) -> list[np.ndarray]:
        """images: H×W×3 uint8 RGB of any sizes, masks: H×W bool, seeds: one each. An empty mask changes nothing.

        Nothing is copied from where `avoid` (H×W bool or None for each) is true.
        """
        return [image for image, _ in self._removed(images, masks, seeds, avoid, beyond=False)]

    def with_effects(
        self,
        images: list[np.ndarray],
        masks: list[np.ndarray],
        seeds: list[int],
        avoid: list[np.ndarray | None] | None = None,
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """The same, with the mask of all changes: larger than the given one if the method also removed an object's
        effects. It never reaches into `avoid`, and nothing outside it differs.
        """
        return self._removed(images, masks, seeds, avoid, beyond=True)

    def _removed(
        self,
        images: list[np.ndarray],
        masks: list[np.ndarray],
        seeds: list[int],
        avoid: list[np.ndarray | None] | None,
        beyond: bool,
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        check(images, masks, seeds)
        with ThreadPoolExecutor(
            THREADS
        ) as pool:  # the device waits meanwhile, and OpenCV releases the interpreter's lock
            numbers = list(pool.map(self._numbers, masks))
            holes = [(k, one) for k in range(len(images)) for one in _ones(numbers[k])]

            def cut_one(k: int, one: int) -> Crop:
                return self._cut(images[k], masks[k], numbers[k] == one, avoid[k] if avoid else None)

            def painted(some: list[tuple[int, int]]) -> list[Painted]:
                crops = list(pool.map(lambda hole: cut_one(*hole), some))
                with self._turn:
                    patches = self.paint(crops, [seeds[k] + one - 1 for k, one in some])
                return list(pool.map(Painted.of, crops, patches))

            fitted = dict(zip(holes, self._batches(painted, holes), strict=True))

            def pasted(k: int) -> tuple[np.ndarray, np.ndarray]:
                own = [fitted[k, one] for one in _ones(numbers[k])]
                result = images[k].copy()
                for one, fit in zip(_ones(numbers[k]), own, strict=True):
                    put(result, numbers[k] == one, fit.crop, fit.patch)
                return result, _put_effects(result, masks[k], own, avoid[k] if avoid else None) if beyond else masks[k]

            return list(pool.map(pasted, range(len(images))))

    def patches(self, crops: list[Crop], seeds: list[int]) -> list[np.ndarray]:
        """The patches for crops, R×R×3 uint8 each, painted in batches that fit."""
        rows = list(zip(crops, seeds, strict=True))
        return list(self._batches(lambda some: self.paint([one for one, _ in some], [seed for _, seed in some]), rows))

    def process(
        self, image: np.ndarray, mask: np.ndarray, seed: int, avoid: np.ndarray | None = None
    ) -> Iterator[np.ndarray]:
        """The image after every denoising step, H×W×3 uint8, one at a time; the last is the result of a call.

        Takes another pass of the model, and decodes at every step. An empty mask has no steps.
        """
        if self.alone is not None:
            yield from self.alone().process(image, mask, seed, avoid)
            return
        assert isinstance(self._batches, Batches)
        check([image], [mask], [seed])
        numbers = self._numbers(mask)
        ones = _ones(numbers)
        crops = [self._cut(image, mask, numbers == one, avoid) for one in ones]
        seeds = [seed + one - 1 for one in ones]
        with self._turn:
            for patches in cast(PaintInSteps, self.paint).by_step(crops, seeds, self._batches):
                frame = image
                for one, crop, patch in zip(ones, crops, patches, strict=True):
                    frame = paste(frame, numbers == one, crop, Painted.of(crop, patch).patch)
                yield frame

    def _numbers(self, mask: np.ndarray) -> np.ndarray:
        """H×W uint8: the number, from 1, of the crop that paints a masked pixel; 0 outside the mask."""
        return group(mask, self.paint.resolution, self.context)

    def _cut(self, image: np.ndarray, mask: np.ndarray, around: np.ndarray, avoid: np.ndarray | None) -> Crop:
        return cut(image, mask, self.paint.resolution, self.context, around, avoid)


def _ones(numbers: np.ndarray) -> range:
    """The numbers of a picture's crops."""
    return range(1, int(numbers.max(initial=0)) + 1)


def _put_effects(result: np.ndarray, mask: np.ndarray, own: list[Painted], avoid: np.ndarray | None) -> np.ndarray:
    """Put changes beyond a mask (H×W bool) into `result` in place, and return the mask of everything changed.

    Where the crops of two objects overlap, the first one's stays.
    """
    changed = mask
    for fit in own:
        if fit.changed is not None:
            more = placed(fit.changed, fit.crop, mask.shape) & ~changed
            if avoid is not None:
                more &= ~avoid
            if more.any():
                put(result, more, fit.crop, fit.patch)
                changed = changed | more
    return changed
