"""A remover: images and masks in, images out. Loaded here, from the one table of methods."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from removal.checkpoints.presets import Choice
from removal.choice import choose
from removal.crops import workers
from removal.crops.remover import CropRemover, Denoising
from removal.methods.table import METHODS
from removal.options import Options
from removal.weights.devices import as_many_as_fit
from removal.weights.loading import loading

PIXELS = {"cpu": 512**2, "cuda": 16 * 512**2}  # of the crops of a batch, for `batch_size="auto"`


class Remover(Protocol):
    """Anything of this shape fits: one image per image, in which only masked pixels differ.

    Nothing that stands where `avoid` is true (H×W bool, or None for an image) is copied into a hole.
    """

    def __call__(
        self,
        images: list[np.ndarray],
        masks: list[np.ndarray],
        seeds: list[int],
        avoid: list[np.ndarray | None] | None = None,
    ) -> list[np.ndarray]: ...


class ChosenRemover(Remover, Denoising, Protocol):
    """A loaded remover that can say what it is.

    `process` shows a removal on its way: the image after each step, of which the last is the result.
    """

    @property
    def choice(self) -> Choice: ...
    def process(
        self, image: np.ndarray, mask: np.ndarray, seed: int, avoid: np.ndarray | None = None
    ) -> Iterator[np.ndarray]: ...


def with_effects(
    remover: Remover,
    images: list[np.ndarray],
    masks: list[np.ndarray],
    seeds: list[int],
    avoid: list[np.ndarray | None] | None = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """A remover's result for each image, and the mask (H×W bool) outside which nothing differs.

    That is the given mask, or a larger one if the method also removed the objects' effects, such as their shadows,
    which it does outside `avoid`. A plain call of a remover never does.
    """
    barred = () if avoid is None else (avoid,)
    own = getattr(remover, "with_effects", None)
    if own:
        return own(images, masks, seeds, *barred)
    return list(zip(remover(images, masks, seeds, *barred), masks, strict=True))


def load_remover(model: str = "sd15", **options) -> ChosenRemover:
    """The remover for a preset, hub id, folder or `.safetensors` file; loaded once per process and setting.

    `options` are those of `Options`. Raises ValueError for an impossible choice (with what would work), OSError for
    unavailable weights.
    """
    return _load_alone(model, Options(**options))


def _load_alone(model: str, options: Options) -> ChosenRemover:
    """The same, while nothing else is loaded in this process."""
    with loading():
        return _load(model, options)


@functools.lru_cache(maxsize=2)
def _load(model: str, options: Options) -> ChosenRemover:
    choice = choose(model, options.method, options.revision, options.offline, options.prompt)
    if choice.method == "auto":
        raise FileNotFoundError(f"{model} is not in the local cache, and --offline forbids fetching it")
    method = METHODS[choice.method]
    if not method.takes_weights:
        from removal.fills.remover import FillRemover

        return FillRemover(choice, method.load(choice.checkpoint, options))
    if len(devices := options.devices()) > 1:
        return _on_devices(model, options, devices)
    from removal.checkpoints.fetch import resolved

    paint = method.load(choice.checkpoint, options)
    choice = replace(choice, checkpoint=resolved(choice.checkpoint))
    batch = options.batch_size
    if not isinstance(batch, int):
        batch = as_many_as_fit(PIXELS, options.devices()[0], paint.resolution)
    paint, batch, trouble = _quickened(paint, batch, options)
    if trouble:
        choice = replace(choice, reason=f"{choice.reason}; {trouble}")
    return CropRemover(choice, paint, options.context, batch, whole_batches=getattr(paint, "compiled", False))


def _quickened(paint: Any, batch: int, options: Options) -> tuple[Any, int, str]:
    """A diffusion painter, compiled if that pays, with its step as a CUDA graph on CUDA; see `compiled`.

    Any other painter unchanged.
    """
    from removal.painting.painter import Painter

    if not isinstance(paint, Painter):
        return paint, batch, ""
    from removal.painting.compiling import compiled
    from removal.painting.graphs import cuda_graph, with_graph

    paint, batch, trouble = compiled(paint, batch, options)
    if paint.steady and paint.pipeline.unet.device.type == "cuda":
        paint = with_graph(paint, batch, cuda_graph)
    return paint, batch, trouble


def _on_devices(model: str, options: Options, devices: list[str]) -> ChosenRemover:
    """One remover on several devices, which can also load one for the first of them alone."""

    def alone() -> CropRemover:
        remover = _load_alone(model, replace(options, device=devices[0]))
        assert isinstance(remover, CropRemover)
        return remover

    painters, first = workers.start(_load_alone, model, [replace(options, device=name) for name in devices])
    batch = len(devices) * first.batch_size
    return CropRemover(first.choice, painters, options.context, batch, devices=len(devices), alone=alone)
