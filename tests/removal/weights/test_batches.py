"""A batch that is too large for the device is split, and nothing is lost, painted twice or out of order."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from removal import choose
from removal.crops.crop import Crop
from removal.crops.remover import CropRemover
from removal.weights.batches import Batches

CHOICE = choose("sd15", "telea")


@dataclass
class Device:
    """Stands in for one that has room for `room` rows, and notes how many it was asked to take."""

    room: int
    fault: Exception = field(default_factory=lambda: torch.OutOfMemoryError("CUDA out of memory."))
    asked: list[int] = field(default_factory=list)
    resolution: int = 16

    def work(self, rows: list[int]) -> list[int]:
        self.asked.append(len(rows))
        if len(rows) > self.room:
            raise self.fault
        return [row * 10 for row in rows]

    def __call__(self, crops: list[Crop], seeds: list[int]) -> list[np.ndarray]:
        return [np.full_like(crop.image, seed // 10) for crop, seed in zip(crops, self.work(seeds), strict=True)]


@given(rows=st.integers(0, 40), size=st.integers(1, 16), room=st.integers(1, 16), whole=st.booleans())
def test_every_row_is_done_once_and_in_order_whatever_fits(rows, size, room, whole):
    device, batches = Device(room), Batches(size, whole)
    assert list(batches(device.work, list(range(rows)))) == [row * 10 for row in range(rows)]
    assert not rows or device.asked[-1] <= room


def test_whole_batches_are_filled_up_to_one_size_which_may_shrink():
    device, batches = Device(room=16), Batches(4, whole=True)
    assert list(batches(device.work, list(range(6)))) == [0, 10, 20, 30, 40, 50]
    device.room = 3
    assert list(batches(device.work, [1, 2, 3])) == [10, 20, 30]
    assert device.asked == [4, 4, 4, 2, 2]


def test_the_smaller_size_is_remembered():
    device, batches = Device(room=3), Batches(16)
    list(batches(device.work, list(range(16))))
    assert device.asked == [16, 8, 4, *[2] * 8]
    device.asked.clear()
    list(batches(device.work, list(range(5))))
    assert device.asked == [2, 2, 1]


@pytest.mark.parametrize(
    "fault",
    [
        torch.OutOfMemoryError("allocation of 3 GiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("MPS backend out of memory"),
    ],
)
def test_what_devices_say_when_they_are_full_is_understood(fault):
    assert list(Batches(2)(Device(1, fault).work, [1, 2])) == [10, 20]


@pytest.mark.parametrize("fault", [RuntimeError("the shapes do not match"), ValueError("out of memory")])
def test_any_other_fault_is_nobodys_to_split(fault):
    batches = Batches(4)
    with pytest.raises(type(fault), match=str(fault)):
        list(batches(Device(1, fault).work, [1, 2]))
    assert batches.size == 4


def test_a_row_that_does_not_fit_alone_is_a_fault_that_says_what_takes_less():
    with pytest.raises(MemoryError, match=r"for a single crop; .* smaller resolution .* --device cpu") as fault:
        list(Batches(2)(Device(0).work, [1, 2]))
    assert fault.value.__context__ is None  # which would keep in memory what did not fit


def test_a_remover_paints_the_same_on_a_smaller_device_and_goes_on_in_smaller_batches(picture):
    images = [picture(20 + k, 30) for k in range(7)]
    masks = [np.pad(np.ones((5, 5), bool), ((4, image.shape[0] - 9), (4, 21))) for image in images]
    small, large = Device(room=2), Device(room=16)
    remove = CropRemover(CHOICE, small, 2.0, 7)
    expected = CropRemover(CHOICE, large, 2.0, 7)(images, masks, list(range(7)))
    for asked in ([7, 4, 2, 2, 2, 1], [2, 2, 2, 1]):
        small.asked.clear()
        results = remove(images, masks, list(range(7)))
        assert small.asked == asked
        assert all((a == b).all() for a, b in zip(results, expected, strict=True))


def test_pictures_whose_crops_do_not_fit_fail_alone(picture):
    """Through `flows.errors.each`, which runs them one by one: here those with a seed of 100 and more."""
    from flows.errors import each

    class Picky(Device):
        def work(self, rows):
            self.room = 0 if max(rows) >= 100 else 16
            return super().work(rows)

    images, masks = [picture(20, 30)] * 3, [np.eye(20, 30, dtype=bool)] * 3
    first, second, third = each(CropRemover(CHOICE, Picky(16), 2.0, 4), images, masks, [1, 100, 2])
    assert isinstance(second, MemoryError)
    assert (first.shape, third.shape) == (images[0].shape,) * 2
