"""A remover: images and masks in, images out. Chooses the method in one place and wraps it in crops and batches."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from removal.checkpoints.choice import Choice, choose
from removal.crops import tone
from removal.crops.crop import Crop, check, cut, paste, put
from removal.crops.device_turn import turn
from removal.crops.grouping import part
from removal.crops.workers import Dealt, Painters
from removal.crops.workers import load as load_on_devices
from removal.weights.batches import Batches

if TYPE_CHECKING:
    import torch

    from removal.painting.painter import Painter

THREADS = min(8, os.cpu_count() or 1)  # that cut and paste
PIXELS_AT_ONCE = {"cuda": 16 * 512**2, "cpu": 512**2}  # crops times their area, for `batch_size="auto"`


class Remover(Protocol):
    """Anything of this shape fits: one image per image, in which only masked pixels differ."""

    def __call__(self, images: list[np.ndarray], masks: list[np.ndarray], seeds: list[int]) -> list[np.ndarray]: ...


class ChosenRemover(Remover, Protocol):
    """A loaded remover that can say what it is, and the steps and strength that it settled on (None: it has none).

    `process` shows a removal on its way: the image after each step, of which the last is the result.
    """

    @property
    def choice(self) -> Choice: ...
    @property
    def steps(self) -> int | None: ...
    @property
    def strength(self) -> float | None: ...
    def process(self, image: np.ndarray, mask: np.ndarray, seed: int) -> Iterator[np.ndarray]: ...


@dataclass(frozen=True)
class Options:
    """How to remove.

    `strength` is 0..1 (None: what suits the method), `context` the crop's side in mask boxes, `prefill` fills holes
    before they are encoded, `attention` is `hole` or `plain`. With a `prompt` the hole is filled with what it says, led
    there by `guidance` (None: 1 without a prompt, 7.5 with one). `compile` compiles the UNet, for one size of batch.
    `lora` are added to the weights, each a path or hub id with `:WEIGHT` or without; one for LCM also sets the
    scheduler and no more than 8 steps. `vae` is another autoencoder: `taesd`, a folder or a hub id.
    """

    method: str = "auto"
    steps: int = 20
    strength: float | None = None
    prefill: bool = True
    attention: str = "plain"
    prompt: str = ""
    guidance: float | None = None
    context: float = 2.0
    lora: tuple[str, ...] = ()
    vae: str = ""
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int | str = "auto"
    compile: bool = False
    revision: str | None = None
    offline: bool = False
    accept_license: bool = False

    def devices(self) -> list[str]:
        """The names of the devices to use: those that `device` lists, or all GPUs for `cuda`, and `auto` if any."""
        import torch

        if self.device not in ("auto", "cuda"):
            return self.device.split(",")
        gpus = [f"cuda:{k}" for k in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
        return gpus or ["cuda" if self.device == "cuda" else "cpu"]

    def torch_device(self) -> torch.device:
        import torch

        return torch.device(self.devices()[0])

    def torch_dtype(self) -> torch.dtype:
        import torch

        if self.dtype != "auto":
            return getattr(torch, self.dtype)
        if self.torch_device().type == "cpu":
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


@dataclass(frozen=True)
class CropRemover:
    """Cuts a crop around every mask, has them painted in batches, and pastes the masked pixels back.

    `batch_size` crops are painted at once, fewer for good where the device's memory does not suffice; with
    `whole_batches` never fewer than that, the rest for nothing. With several `devices` these share them, and `alone`
    loads a remover for one.
    """

    choice: Choice
    paint: Painter | Painters
    context: float
    batch_size: int
    whole_batches: bool = False
    devices: int = 1
    alone: Callable[[], CropRemover] | None = None

    @functools.cached_property
    def _batches(self) -> Batches | Dealt:
        if self.devices > 1:
            return Dealt(self.batch_size // self.devices, self.devices)
        return Batches(self.batch_size, self.whole_batches)

    @property
    def _turn(self) -> AbstractContextManager[object]:
        """Within it nothing else is painted here. Several devices are dealt out among callers by themselves."""
        return nullcontext() if self.devices > 1 else turn()

    @property
    def steps(self) -> int:
        return self.paint.steps

    @property
    def strength(self) -> float:
        return self.paint.strength

    def __call__(self, images: list[np.ndarray], masks: list[np.ndarray], seeds: list[int]) -> list[np.ndarray]:
        """images: H×W×3 uint8 RGB of any sizes, masks: H×W bool, seeds: one each. An empty mask changes nothing."""
        check(images, masks, seeds)
        with ThreadPoolExecutor(THREADS) as pool:  # the device waits meanwhile, and OpenCV needs no interpreter
            numbers = list(pool.map(lambda mask: part(mask, self.paint.resolution, self.context), masks))
            holes = [(k, one) for k in range(len(images)) for one in range(1, int(numbers[k].max(initial=0)) + 1)]

            def cut_one(k: int, one: int) -> Crop:
                return cut(images[k], masks[k], self.paint.resolution, self.context, numbers[k] == one)

            def painted(some: list[tuple[int, int]]) -> list[tuple[Crop, np.ndarray]]:
                crops = list(pool.map(lambda hole: cut_one(*hole), some))
                with self._turn:
                    patches = self.paint(crops, [seeds[k] + one - 1 for k, one in some])
                toned = pool.map(lambda crop, patch: tone.match(crop.image, crop.mask, patch), crops, patches)
                return list(zip(crops, toned, strict=True))

            fitted = dict(zip(holes, self._batches(painted, holes), strict=True))

            def pasted(k: int) -> np.ndarray:
                result = images[k].copy()
                for one in range(1, int(numbers[k].max(initial=0)) + 1):
                    put(result, numbers[k] == one, *fitted[k, one])
                return result

            return list(pool.map(pasted, range(len(images))))

    def patches(self, crops: list[Crop], seeds: list[int]) -> list[np.ndarray]:
        """What is painted into crops, R×R×3 uint8 each, in batches that fit."""
        rows = list(zip(crops, seeds, strict=True))
        return list(self._batches(lambda some: self.paint([one for one, _ in some], [seed for _, seed in some]), rows))

    def process(self, image: np.ndarray, mask: np.ndarray, seed: int) -> Iterator[np.ndarray]:
        """The image after every denoising step, H×W×3 uint8, one at a time; the last is what a call gives.

        Takes another pass of the model, and decodes at every step. An empty mask has no steps.
        """
        from removal.painting.process import patches_by_step

        if self.alone is not None:
            yield from self.alone().process(image, mask, seed)
            return
        assert isinstance(self._batches, Batches)
        check([image], [mask], [seed])
        numbers = part(mask, self.paint.resolution, self.context)
        ones = range(1, int(numbers.max(initial=0)) + 1)
        crops = [cut(image, mask, self.paint.resolution, self.context, numbers == one) for one in ones]
        seeds = [seed + one - 1 for one in ones]
        with self._turn:
            for patches in patches_by_step(cast("Painter", self.paint), crops, seeds, self._batches):
                frame = image
                for one, crop, patch in zip(ones, crops, patches, strict=True):
                    frame = paste(frame, numbers == one, crop, tone.match(crop.image, crop.mask, patch))
                yield frame


def load_remover(model: str = "sd15", **options) -> ChosenRemover:
    """The remover for a preset, hub id, folder or `.safetensors` file; loaded once per process and setting.

    `options` are those of `Options`. Raises ValueError for what cannot be done (with what would), OSError for weights
    that cannot be had.
    """
    return _load(model, Options(**options))


@functools.lru_cache(maxsize=2)
def _load(model: str, options: Options) -> ChosenRemover:
    choice = choose(model, options.method, options.revision, options.offline, options.prompt)
    if choice.method == "telea":
        from removal.fills.telea import TeleaRemover

        return TeleaRemover(choice)
    if choice.method == "auto":
        raise FileNotFoundError(f"{model} is not in the local cache, and --offline forbids fetching it")
    if len(devices := options.devices()) > 1:
        return load_on_devices(model, options, devices)
    from removal.checkpoints.fetch import resolved
    from removal.methods import attentive, blending, controlnet, inpainting

    methods = {
        "inpainting": inpainting,
        "blending": blending,
        "attentive": attentive,
        "controlnet": controlnet,
    }
    painter = methods[choice.method].load(choice.checkpoint, options)
    choice = replace(choice, checkpoint=resolved(choice.checkpoint))
    batch = options.batch_size
    if not isinstance(batch, int):
        at_once = PIXELS_AT_ONCE.get(options.torch_device().type, PIXELS_AT_ONCE["cpu"])
        batch = max(1, at_once // painter.resolution**2)
    return CropRemover(choice, painter, options.context, batch, whole_batches=options.compile)
