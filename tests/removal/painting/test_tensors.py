"""Arrays become tensors and return."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from removal.painting.tensors import to_images, to_latent_masks, to_tensors


def test_to_images_undoes_to_tensors_for_every_level():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    images = [np.stack([levels, levels.T, levels[::-1]], axis=-1), np.stack([levels.T] * 3, axis=-1)]
    tensors = to_tensors(images)
    assert (tensors.shape, tensors.dtype) == ((2, 3, 16, 16), torch.float32)
    assert (tensors.min(), tensors.max()) == (0, 1)
    assert all((a == b).all() for a, b in zip(to_images(tensors), images, strict=True))


def test_channels_and_places_stay_where_they_are():
    image = np.zeros((4, 6, 3), np.uint8)
    image[1, 5, 2] = 255
    assert to_tensors([image]).nonzero().tolist() == [[0, 2, 1, 5]]


def test_to_images_rounds_to_the_nearest_level_and_keeps_to_the_range():
    values = torch.tensor([-0.5, 0.49 / 255, 0.51 / 255, 254.6 / 255, 1.7]).reshape(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert to_images(values)[0][0, :, 0].tolist() == [0, 0, 1, 255, 255]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_to_images_takes_half_precision(dtype):
    image = to_images(torch.full((1, 3, 2, 2), 0.5, dtype=dtype))[0]
    assert (image.dtype, image.min(), image.max()) == (np.uint8, 128, 128)


def test_pictures_and_masks_travel_to_and_from_a_device_as_bytes():
    class Noted(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func in (torch.Tensor.to, torch.Tensor.cpu):
                travelled.append(args[0].dtype)
            return func(*args, **(kwargs or {}))

    travelled: list[torch.dtype] = []
    with Noted():
        to_latent_masks([np.ones((8, 8), bool)], 4, "cpu")
        to_images(to_tensors([np.zeros((8, 8, 3), np.uint8)], "cpu"))
    assert travelled == [torch.bool, torch.uint8, torch.uint8]


@pytest.mark.parametrize("place", range(8))
def test_latent_masks_keep_lines_one_pixel_thin(place):
    """Also those that diffusers' own nearest sampling misses, which are all but the first of every cell."""
    line = np.zeros((32, 32), bool)
    line[:, 8 + place] = True
    cells = to_latent_masks([line], 8)[0, 0, ::8, ::8]
    assert cells[:, 1].all()
    assert cells.sum() == 4
    nearest = F.interpolate(torch.from_numpy(line).float()[None, None], size=(4, 4))
    assert bool(nearest.any()) == (place == 0)


def test_latent_masks_cover_whole_cells_and_only_those_touched():
    masks = np.random.default_rng(0).random((3, 32, 24)) > 0.95
    latent = to_latent_masks(list(masks), 4)
    assert latent.shape == (3, 1, 32, 24)
    touched = masks.reshape(3, 8, 4, 6, 4).any(axis=(2, 4))
    assert 0 < touched.mean() < 1
    assert (latent[:, 0].numpy() == touched.repeat(4, axis=1).repeat(4, axis=2)).all()
