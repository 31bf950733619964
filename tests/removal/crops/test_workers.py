"""Several devices behind one remover, shown with stand-ins and with two processes on the CPU."""

from __future__ import annotations

import threading
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest

from removal import load_remover
from removal.checkpoints.presets import Checkpoint, Choice
from removal.crops.crop import Crop
from removal.crops.remover import CropRemover
from removal.crops.workers import Device, DistributedBatches, Painters
from removal.options import Options

CHOICE = Choice("stand-in", Checkpoint(""), "inpainting", "asked for")
ON_TWO = {"device": "cpu,cpu", "offline": True, "steps": 2, "batch_size": 2}


def crop(level: int) -> Crop:
    return Crop(np.full((4, 4, 3), level, np.uint8), np.ones((4, 4), bool), 0, 0, 4)


def inverted(crops: list[Crop], seeds: list[int]) -> list[np.ndarray]:
    return [255 - one.image for one in crops]


class Fails:
    """Paints `healthy` batches, and then raises the same error for ever."""

    def __init__(self, error: Exception, healthy: int = 0):
        self.error, self.healthy, self.asked, self.begun = error, healthy, 0, threading.Event()

    def __call__(self, crops: list[Crop], seeds: list[int]) -> list[np.ndarray]:
        self.asked += 1
        self.begun.set()
        if self.asked > self.healthy:
            raise self.error
        return inverted(crops, seeds)


class Meets:
    """Paints only when so many devices are painting at the same time."""

    def __init__(self, devices: int):
        self.barrier, self.batches = threading.Barrier(devices, timeout=30), []

    def __call__(self, crops: list[Crop], seeds: list[int]) -> list[np.ndarray]:
        self.barrier.wait()
        self.batches.append(seeds)
        return inverted(crops, seeds)


def painters(*paints) -> Painters:
    return Painters([Device(f"device {k}", paint) for k, paint in enumerate(paints)], 4, 2, 1.0)


def remover(*paints, batch: int = 2) -> CropRemover:
    return CropRemover(CHOICE, painters(*paints), 2.0, batch * len(paints), devices=len(paints))


def patches(of: CropRemover, count: int) -> list[int]:
    return [int(patch[0, 0, 0]) for patch in of.patches([crop(k) for k in range(count)], [*range(count)])]


@pytest.mark.parametrize("devices", [2, 3])
def test_all_devices_paint_at_the_same_time_and_results_keep_their_order(devices):
    meets = Meets(devices)
    assert patches(remover(*[meets] * devices), 4 * devices) == [255 - k for k in range(4 * devices)]


def test_the_batches_are_those_of_a_single_device():
    meets = Meets(2)
    patches(remover(meets, meets), 8)
    assert sorted(meets.batches) == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_a_group_for_it_fills_every_device():
    from flows.outcome import Outcome
    from flows.steps.remove_masked import _group_size

    rows = [Outcome("photo.jpg", "masked", width=4000, height=3000)]
    assert _group_size(remover(inverted, inverted, inverted, batch=16), rows) == 48


@pytest.mark.parametrize("error", [BrokenProcessPool("it was killed"), RuntimeError("CUDA error: an illegal address")])
def test_a_device_that_dies_is_left_out_and_its_batch_is_not_lost(error):
    dies = Fails(error)

    def goes_on(crops: list[Crop], seeds: list[int]) -> list[np.ndarray]:
        assert dies.begun.wait(30)
        return inverted(crops, seeds)

    found = remover(goes_on, dies)
    with pytest.warns(UserWarning, match=r"device 1 failed and is left out \(.*\); 1 go on"):
        assert patches(found, 8) == [255 - k for k in range(8)]
    assert patches(found, 6) == [255 - k for k in range(6)]
    assert dies.asked == 1


def test_without_any_device_left_the_machine_is_at_fault_and_no_picture():
    from flows.errors import EnvironmentFault, each

    error = BrokenProcessPool("it was killed")
    found = remover(Fails(error), Fails(error))
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(EnvironmentFault, match=r"no device is left that works \(device 0, device 1\)"),
    ):
        each(lambda crops, seeds: found.patches(crops, seeds), [crop(k) for k in range(8)], [*range(8)])


def test_a_crops_own_trouble_is_its_own_and_the_device_goes_on():
    once = Fails(ValueError("this crop is odd"), healthy=0)
    found = painters(once)
    with pytest.raises(ValueError, match="this crop is odd"):
        found([crop(1)], [1])
    once.healthy = 9
    assert found([crop(1)], [1])[0][0, 0, 0] == 254


def test_after_trouble_no_more_is_begun():
    begun = []

    def work(rows: list[int]) -> list[int]:
        begun.extend(rows)
        raise ValueError("trouble")

    with pytest.raises(ValueError, match="trouble"):
        list(DistributedBatches(1, 1)(work, [*range(100)]))
    assert len(begun) < 100


# On devices ----------------------------------------------------------------------------------------------------------


def test_devices_are_those_that_are_listed_and_one_is_one():
    assert Options(device="cuda:0,cuda:1").devices() == ["cuda:0", "cuda:1"]
    assert Options(device="cpu").devices() == ["cpu"]
    assert Options(device="cuda:0,cuda:1").torch_device().index == 0


@pytest.mark.parametrize(("asked", "found"), [("auto", ["cuda:0", "cuda:1"]), ("cuda", ["cuda:0", "cuda:1"])])
def test_all_gpus_are_used_unless_one_is_named(monkeypatch, asked, found):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert Options(device=asked).devices() == found
    assert Options(device="cuda:1").devices() == ["cuda:1"]


@pytest.fixture(scope="module")
def two_processes(tiny):
    return load_remover(str(tiny("inpainting")), **ON_TWO)


def test_two_processes_remove_bit_for_bit_what_one_does_in_the_same_batches(tiny, two_processes, picture):
    masks = [np.zeros((40, 40 + k), bool) for k in range(6)]
    for k, mask in enumerate(masks):
        mask[8 + k : 20 + k, 8:20] = True
    images = [picture(40, 40 + k) for k in range(6)]
    alone = load_remover(str(tiny("inpainting")), **ON_TWO | {"device": "cpu"})
    ours, expected = (one(images, masks, [*range(6)]) for one in (two_processes, alone))
    assert all((one == other).all() for one, other in zip(ours, expected, strict=True))
    assert (two_processes.choice, two_processes.steps, two_processes.strength) == (
        alone.choice,
        alone.steps,
        alone.strength,
    )


def test_its_process_of_denoising_is_shown_by_one(tiny, two_processes, picture):
    image, mask = picture(40, 40), np.zeros((40, 40), bool)
    mask[8:20, 8:20] = True
    *_, last = two_processes.process(image, mask, 3)
    assert (last == two_processes([image], [mask], [3])[0]).all()


def test_what_cannot_be_loaded_is_said_as_by_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a diffusers checkpoint"):
        load_remover(str(tmp_path), **ON_TWO)
