"""Several devices behind one remover: a painter on each, in a process of its own, and batches distributed among them.

A process each: a step of Stable Diffusion's UNet takes about 10 ms of Python to launch its 730 kernels, which the
interpreter's lock grants to one thread at a time, beside some 34 ms on an H200 for a batch of 16. From the fourth
device on, threads would wait for each other. Crops and patches travel, a megabyte each, not pictures.
"""

from __future__ import annotations

import errno
import multiprocessing
import queue
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from removal.checkpoints.presets import Choice
from removal.crops.crop import Crop

if TYPE_CHECKING:
    from removal.options import Options

Row = TypeVar("Row")
Done = TypeVar("Done")
Paint = Callable[[list[Crop], list[int]], list[np.ndarray]]
Load = Callable[[str, "Options"], Any]  # a function at the top of a module, which gives the remover for one device


@dataclass(frozen=True)
class Device:
    """A device, by its name in torch, and the function that paints crops there; it may block, and gets one call at a
    time.
    """

    name: str
    paint: Paint


@dataclass
class Painters:
    """A painter that hands each batch to a free device.

    A device that dies is left out with a warning, and its batch goes to another one. Raises OSError if none is left;
    other errors of a device belong to the batch.
    """

    devices: list[Device]
    resolution: int
    steps: int
    strength: float
    _free: queue.SimpleQueue[Device | None] = field(default_factory=queue.SimpleQueue, repr=False)
    _left: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self._left = len(self.devices)
        for device in self.devices:
            self._free.put(device)

    def __call__(self, crops: list[Crop], seeds: list[int]) -> list[np.ndarray]:
        """One patch R×R×3 uint8 per crop; the same on any of the devices if these are alike."""
        while True:
            device = self._free.get()
            if device is None:
                self._free.put(None)
                raise OSError(errno.EIO, "no device is left that works", ", ".join(one.name for one in self.devices))
            try:
                patches = device.paint(crops, seeds)
            except Exception as error:
                if _died(error):
                    self._lose(device, error)
                    continue
                self._free.put(device)
                raise
            self._free.put(device)
            return patches

    def _lose(self, device: Device, error: Exception) -> None:
        with self._lock:
            self._left -= 1
            if not self._left:
                self._free.put(None)
        warnings.warn(f"{device.name} failed and is left out ({error}); {self._left} go on", stacklevel=3)


@dataclass
class DistributedBatches:
    """Processes rows in batches of `size`, on all `devices` at the same time. Results come in the order of the rows."""

    size: int
    devices: int

    def __call__(self, work: Callable[[list[Row]], list[Done]], rows: list[Row]) -> Iterator[Done]:
        """Yields the result of `work` for each row. An error is raised in its row's place and ends the rest."""
        pool = ThreadPoolExecutor(self.devices)
        try:
            begun = [pool.submit(work, rows[first : first + self.size]) for first in range(0, len(rows), self.size)]
            for one in begun:
                yield from one.result()
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class WorkerInfo:
    """Facts about the remover that a process has loaded."""

    choice: Choice
    batch_size: int
    resolution: int
    steps: int
    strength: float


def start(load: Load, model: str, each: list[Options]) -> tuple[Painters, WorkerInfo]:
    """Painters on several devices, one for each of the options, and the first one's facts.

    The first loads alone, so that weights are fetched once.
    """
    names = [options.device for options in each]
    pools = [_process(load, model, options, len(each)) for options in each]
    first = pools[0].submit(_worker_info).result()
    for other in [pool.submit(_worker_info) for pool in pools[1:]]:
        other.result()
    devices = [Device(name, _painter(pool)) for name, pool in zip(names, pools, strict=True)]
    return Painters(devices, first.resolution, first.steps, first.strength), first


def _process(load: Load, model: str, options: Options, share: int) -> ProcessPoolExecutor:
    import torch

    threads = max(1, torch.get_num_threads() // share)
    spawn = multiprocessing.get_context("spawn")  # a forked process has no CUDA
    return ProcessPoolExecutor(1, spawn, initializer=_begin, initargs=(load, model, options, threads))


def _painter(pool: ProcessPoolExecutor) -> Paint:
    return lambda crops, seeds: pool.submit(_paint, crops, seeds).result()


def _died(error: Exception) -> bool:
    """True if the process or its device is gone: a CUDA error is permanent."""
    return isinstance(error, BrokenProcessPool) or "CUDA error" in str(error)


# In the process of a device -------------------------------------------------------------------------------------------

_here: list[Any] = []  # the loader, the model and the options


def _begin(load: Load, model: str, options: Options, threads: int) -> None:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run, which ends this process
    torch.set_num_threads(threads)
    _here[:] = [load, model, options]


def _remover() -> Any:
    """This device's remover, loaded at the first request and kept by its loader."""
    load, model, options = _here
    return load(model, options)


def _worker_info() -> WorkerInfo:
    remover = _remover()
    return WorkerInfo(remover.choice, remover.batch_size, remover.paint.resolution, remover.steps, remover.strength)


def _paint(crops: list[Crop], seeds: list[int]) -> list[np.ndarray]:
    return _remover().patches(crops, seeds)
