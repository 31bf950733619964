"""Small logits become masks of the picture's size, as if all of it had been scaled up."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from masks import upscaling
from masks.upscaling import upscaled


@pytest.mark.parametrize("size", [(64, 64), (256, 256), (97, 33), (200, 301), (20, 500)])
@pytest.mark.parametrize("share", [0.001, 0.02, 0.5, 1.0])
def test_a_mask_is_what_bilinear_interpolation_of_the_whole_gives(size, share):
    random = np.random.default_rng(int(1000 * share))
    logits = torch.tensor(np.where(random.random((64, 48)) < share, 1, -1) * random.random((64, 48)).astype("float32"))
    whole = interpolate(logits[None, None], size, mode="bilinear", align_corners=False)[0, 0].numpy()
    mask = upscaled(logits, *size)
    assert (mask.shape, mask.dtype) == (size, bool)
    assert (mask == (whole > 0))[np.abs(whole) > 1e-6].all()


def test_logits_that_are_nowhere_above_0_are_an_empty_mask():
    assert not upscaled(torch.full((8, 8), -1.0), 30, 40).any()


def test_a_small_object_in_a_large_picture_is_interpolated_in_its_own_box_alone(monkeypatch):
    """Of 3000×4000 pixels, those of the box around one value above 0 and its neighbours."""
    logits = torch.full((256, 256), -1.0)
    logits[100, 50] = 1.0
    taps, boxes = upscaling._taps, []
    monkeypatch.setattr(upscaling, "_taps", lambda *given: boxes.append(taps(*given)) or boxes[-1])
    mask = upscaled(logits, 3000, 4000)
    (top, rows, *_), (left, columns, *_) = boxes
    reach = 2 * 3000 / 256, 2 * 4000 / 256  # of one value, which ends where its neighbours lie
    assert len(rows) <= reach[0] + 2
    assert len(columns) <= reach[1] + 2
    assert mask[top : top + len(rows), left : left + len(columns)].sum() == mask.sum() > 0


@pytest.mark.parametrize("at", [(0, 0), (0, 30), (20, 0), (31, 47), (63, 47)])
def test_an_object_of_one_value_reaches_as_far_on_every_side(at):
    logits = torch.full((64, 48), -0.1)
    logits[at] = 1.0
    whole = interpolate(logits[None, None], (500, 333), mode="bilinear", align_corners=False)[0, 0].numpy()
    assert (upscaled(logits, 500, 333) == (whole > 0))[np.abs(whole) > 1e-6].all()
