"""A ControlNet for inpainting is shown the picture with its hole, and leads a plain checkpoint."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch

from removal.checkpoints.known import look_up
from removal.choice import choose
from removal.crops.crop import cut
from removal.crops.remover import CropRemover
from removal.methods import controlnet
from removal.options import Options
from removal.painting.attention import HoleAttention


@pytest.fixture(scope="module")
def control(tiny, tmp_path_factory):
    """A function from a kind of checkpoint to the folder of a ControlNet made from it, which says something."""

    def folder(kind: str = "plain") -> str:
        from diffusers import ControlNetModel, UNet2DConditionModel

        torch.manual_seed(0)
        unet = UNet2DConditionModel.from_pretrained(tiny(kind), subfolder="unet")
        model = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 4, 8))  # 4 pixels a latent
        zeros = [*model.controlnet_down_blocks, model.controlnet_mid_block, model.controlnet_cond_embedding.conv_out]
        for layer in zeros:  # a fresh one is silent
            torch.nn.init.normal_(layer.weight, std=0.3)
        saved = tmp_path_factory.mktemp("control")
        model.save_pretrained(saved)
        return str(saved)

    return functools.cache(folder)


@pytest.fixture
def paint(tiny, control):
    """A function from options to a painter."""

    def load(**options):
        settings = {"steps": 3, "offline": True, "device": "cpu", **options}
        return controlnet.load(look_up(str(tiny("plain"))), Options(**settings), control())

    return load


@pytest.fixture
def crops(picture):
    """Two crops 32×32 with different holes; the first is of whole latent cells."""
    masks = [np.zeros((32, 32), bool) for _ in range(2)]
    masks[0][8:20, 8:20] = True
    masks[1][21:29, 3:11] = True  # not at the edge, where OpenCV's fill takes a little from the hole
    images = [picture(32, 32), np.ascontiguousarray(picture(32, 32)[::-1])]
    return [cut(image, mask, 32) for image, mask in zip(images, masks, strict=True)]


def given_to_the_controlnet(painter, crops) -> list[dict]:
    seen = []
    model = painter.pipeline.pipeline.controlnet
    hook = model.register_forward_pre_hook(lambda _, given, named: seen.append(named), with_kwargs=True)
    painter(crops, [1, 2])
    hook.remove()
    return seen


@pytest.mark.parametrize("prefill", [True, False])
def test_the_control_image_is_the_picture_with_minus_one_in_the_hole_and_counts_in_full(paint, crops, prefill):
    seen = given_to_the_controlnet(paint(prefill=prefill, strength=1.0), crops)
    assert len(seen) == 3
    for given in seen:
        assert given["conditioning_scale"] == 1.0
        first = given["controlnet_cond"][0].permute(1, 2, 0).numpy()
        assert (first[crops[0].mask] == -1).all()
        assert np.allclose(first[~crops[0].mask], crops[0].image[~crops[0].mask] / 255, atol=1e-6)


def test_whole_latent_cells_are_unknown_to_it_since_whole_cells_are_painted(paint, crops):
    seen = given_to_the_controlnet(paint(), crops)
    cells = np.zeros((32, 32), bool)
    cells[20:32, 0:12] = True
    second = seen[0]["controlnet_cond"][1].permute(1, 2, 0).numpy()
    assert ((second == -1).all(axis=-1) == cells).all()


def test_with_guidance_both_halves_of_the_batch_see_the_same(paint, crops):
    seen = given_to_the_controlnet(paint(prompt="a meadow"), crops)
    image = seen[0]["controlnet_cond"]
    assert len(image) == 4
    assert (image[:2] == image[2:]).all()


def test_what_it_is_shown_matters_to_the_result(paint, crops, monkeypatch):
    painter = paint()
    shown = np.stack(painter(crops, [1, 2]))
    monkeypatch.setattr(controlnet, "SCALE", 0.0)
    assert (np.stack(painter(crops, [1, 2])) != shown).any()


def test_a_picture_is_the_same_alone_and_in_a_batch_and_only_its_hole_changes(paint, tiny, picture):
    remove = CropRemover(choose(str(tiny("plain"))), paint(), 2.0, 3)
    images = [picture(32, 32), picture(32, 40), picture(50, 32)]
    masks = [np.zeros(image.shape[:2], bool) for image in images]
    for k, mask in enumerate(masks):
        mask[4 + k : 20, 8 : 12 + 4 * k] = True
    together = remove(images, masks, [1, 2, 3])
    for image, mask, seed, result in zip(images, masks, [1, 2, 3], together, strict=True):
        (alone,) = remove([image], [mask], [seed])
        assert np.abs(alone.astype(int) - result.astype(int)).max() <= 1
        assert (result[~mask] == image[~mask]).all()
        assert (result[mask] != image[mask]).any()


def test_an_object_in_a_filled_hole_leaves_no_trace(paint, crops):
    painter = paint()
    others = [replace(crop, image=np.where(crop.mask[..., None], 255, crop.image).astype(np.uint8)) for crop in crops]
    assert (np.stack(painter(crops, [1, 2])) == np.stack(painter(others, [1, 2]))).all()


def test_hole_attention_goes_with_it(paint, crops, monkeypatch):
    painter = paint(attention="hole")
    unet, model, seen = painter.pipeline.unet, painter.pipeline.pipeline.controlnet, []
    before = unet.attn_processors
    step = painter.pipeline.pipeline.scheduler.step

    def noted(*given, **named):
        seen.append([[isinstance(one, HoleAttention) for one in m.attn_processors.values()] for m in (unet, model)])
        return step(*given, **named)

    monkeypatch.setattr(painter.pipeline.pipeline.scheduler, "step", noted)
    painter(crops, [1, 2])
    assert any(seen[0][0])
    assert not any(seen[0][1])
    assert unet.attn_processors == before


def test_the_painter_says_its_resolution_steps_and_strength(paint):
    for options, strength in (({}, 0.3), ({"prefill": False}, 1.0), ({"strength": 0.5}, 0.5)):
        painter = paint(steps=10, **options)
        assert (painter.resolution, painter.steps, painter.strength) == (32, 10, strength)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("inpainting", "9 input channels .* use --method inpainting, or a checkpoint with 4"), ("xl", "9 input channels")],
)
def test_a_checkpoint_for_inpainting_is_refused_before_anything_is_loaded(tiny, kind, message):
    with pytest.raises(ValueError, match=message):
        controlnet.load(look_up(str(tiny(kind))), Options(offline=True, device="cpu"), "nobody/nothing")


def test_sdxl_is_refused_before_anything_is_loaded():
    with pytest.raises(ValueError, match="is of SDXL"):
        controlnet.load(look_up("stabilityai/stable-diffusion-xl-base-1.0"), Options(offline=True), "nobody/nothing")


def test_a_checkpoint_with_other_text_embeddings_is_refused_with_what_would_fit(tiny, control):
    with pytest.raises(ValueError, match=r"width 32, and .* has 16; use a fine-tune of the checkpoint"):
        controlnet.load(look_up(str(tiny("plain"))), Options(offline=True, device="cpu"), control("xl"))


def test_a_controlnet_that_is_not_in_the_cache_is_not_asked_for_offline(tiny, no_network):
    with pytest.raises(OSError, match="nobody/nothing"):
        controlnet.load(look_up(str(tiny("plain"))), Options(offline=True, device="cpu"), "nobody/nothing")
