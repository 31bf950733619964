"""How a pipeline is loaded and driven."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from removal import load_remover
from removal.checkpoints.known import look_up
from removal.checkpoints.presets import Checkpoint
from removal.crops.crop import cut
from removal.methods import blending
from removal.options import Options
from removal.painting import pipelines

OFFLINE = {"offline": True, "device": "cpu"}


@pytest.mark.parametrize(("kind", "steps"), [("inpainting", 3), ("plain", 3), ("xl", 4)])
def test_guidance_costs_no_second_pass_of_the_unet(tiny, picture, kind, steps):
    """Rows that go through the UNet are steps times pictures; with guidance they would be twice as many."""
    remove = load_remover(str(tiny(kind)), steps=steps, **OFFLINE)
    unet, rows = remove.paint.pipeline.unet, []
    hook = unet.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    mask = np.zeros((32, 32), bool)
    mask[8:20, 8:20] = True
    remove([picture(32, 32)] * 2, [mask] * 2, [1, 2])
    hook.remove()
    assert rows == [2] * int(steps * remove.strength)  # the first are skipped below full strength


def test_the_prompt_is_empty_and_encoded_once(tiny):
    from transformers import CLIPTextModel, CLIPTokenizer

    painter = load_remover(str(tiny("inpainting")), steps=2, **OFFLINE).paint
    tokenizer = CLIPTokenizer.from_pretrained(tiny("inpainting") / "tokenizer")
    ids = tokenizer("", padding="max_length", return_tensors="pt").input_ids
    encoder = CLIPTextModel.from_pretrained(tiny("inpainting") / "text_encoder")
    assert (painter.prompt_embeddings["prompt_embeds"] - encoder(ids)[0]).abs().max() < 1e-5


@pytest.mark.parametrize(("kind", "strength"), [("inpainting", 1.0), ("plain", blending.STRENGTH), ("xl", 0.99)])
def test_strength_is_what_suits_the_method_unless_given(tiny, kind, strength):
    assert load_remover(str(tiny(kind)), steps=4, **OFFLINE).strength == strength
    assert load_remover(str(tiny(kind)), steps=2, strength=0.6, **OFFLINE).strength == 0.6


def test_without_a_filled_hole_blending_starts_from_noise_alone(tiny):
    assert load_remover(str(tiny("plain")), steps=2, prefill=False, **OFFLINE).strength == 1.0


@pytest.mark.parametrize("kind", ["plain", "xl"])
def test_so_few_steps_that_none_would_be_left_are_taken_from_noise_alone(tiny, kind):
    assert load_remover(str(tiny(kind)), steps=1, **OFFLINE).strength == 1.0


@pytest.mark.parametrize("kind", ["plain", "inpainting"])
def test_below_full_strength_nothing_of_the_object_reaches_the_result(tiny, picture, kind):
    """The hole is filled before it is encoded; without that the object shines through."""
    image, mask = picture(32, 32), np.zeros((32, 32), bool)
    mask[8:20, 8:20] = True
    other = image.copy()
    other[mask] = 255 - other[mask]
    for prefilled in (True, False):
        remove = load_remover(str(tiny(kind)), steps=2, strength=0.5, prefill=prefilled, **OFFLINE)
        assert (remove([image], [mask], [5])[0] == remove([other], [mask], [5])[0])[mask].all() == prefilled


@pytest.mark.parametrize("kind", ["plain", "inpainting", "xl"])
def test_a_prompt_is_guided_towards_and_changes_the_hole_alone(tiny, picture, kind):
    image, mask = picture(32, 32), np.zeros((32, 32), bool)
    mask[8:20, 8:20] = True
    plain = load_remover(str(tiny(kind)), steps=2, **OFFLINE)
    asked = load_remover(str(tiny(kind)), steps=2, prompt="a dog", **OFFLINE)
    assert (plain.paint.guidance, asked.paint.guidance) == (1.0, 7.5)
    nothing, dog = plain([image], [mask], [5])[0], asked([image], [mask], [5])[0]
    assert (nothing[mask] != dog[mask]).any()
    assert (dog[~mask] == image[~mask]).all()


def test_guidance_is_what_is_given_with_or_without_a_prompt(tiny):
    assert load_remover(str(tiny("plain")), steps=2, prompt="a dog", guidance=3.0, **OFFLINE).paint.guidance == 3.0
    assert load_remover(str(tiny("plain")), steps=2, guidance=2.0, **OFFLINE).paint.guidance == 2.0


@pytest.mark.parametrize("kind", ["xl", "plain"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_on_a_cpu_an_autoencoder_works_in_float32_and_its_weights_were_never_rounded(tiny, picture, kind, dtype):
    painter = load_remover(str(tiny(kind)), steps=2, dtype=dtype, **OFFLINE).paint
    vae, seen = painter.pipeline.vae, []
    hooks = [
        part.register_forward_pre_hook(lambda _, x: seen.append(x[0].dtype)) for part in (vae.encoder, vae.decoder)
    ]
    mask = np.zeros((32, 32), bool)
    mask[8:20, 8:20] = True
    painter([cut(picture(32, 32), mask, 32)], [0])
    for hook in hooks:
        hook.remove()
    assert seen == [torch.float32] * 2
    assert painter.pipeline.unet.dtype == getattr(torch, dtype)
    exact = load_remover(str(tiny(kind)), steps=2, **OFFLINE).paint.pipeline.vae.state_dict()
    assert all(weight.equal(exact[name]) for name, weight in vae.state_dict().items())


@pytest.mark.parametrize(("kind", "expected"), [("inpainting", 4), ("plain", 9)])
def test_weights_with_another_number_of_channels_than_expected_are_refused(tiny, kind, expected):
    checkpoint = look_up(str(tiny(kind)))
    with pytest.raises(ValueError, match=f"has {checkpoint.in_channels} input channels where {expected} were expected"):
        pipelines.load(checkpoint, Options(**OFFLINE), in_channels=expected)


def test_a_crop_has_the_resolution_that_the_checkpoint_was_trained_at(tiny):
    assert load_remover(str(tiny("inpainting")), steps=2, **OFFLINE).paint.resolution == 32
    assert load_remover("bundled", steps=2, **OFFLINE).paint.resolution == 128


def test_a_resolution_that_is_known_counts_more_than_the_config(tiny, picture):
    """RORem was trained at 512, and its config still says its parent's 1024."""
    checkpoint = replace(look_up(str(tiny("inpainting"))), resolution=16)
    painter = pipelines.load(checkpoint, Options(steps=1, **OFFLINE), in_channels=9)
    mask = np.zeros((32, 32), bool)
    mask[4:8, 4:8] = True
    (patch,) = painter([cut(picture(32, 32), mask, painter.resolution)], [0])
    assert patch.shape == (16, 16, 3)


def test_the_noise_of_a_crop_comes_from_its_own_seed_alone(tiny, picture):
    """The latents that go into the first step are the same in a batch and alone."""
    painter = load_remover(str(tiny("inpainting")), steps=2, **OFFLINE).paint
    starts = []
    hook = painter.pipeline.unet.register_forward_pre_hook(lambda _, given: starts.append(given[0][:, :4].clone()))
    mask = np.zeros((32, 32), bool)
    mask[8:20, 8:20] = True
    crops = [cut(picture(32, 32), mask, 32), cut(picture(33, 33), np.pad(mask, ((0, 1), (0, 1))), 32)]
    painter(crops, [7, 8])
    painter(crops[1:], [8])
    hook.remove()
    assert (starts[0][1] == starts[2][0]).all()
    assert (starts[0][0] != starts[0][1]).any()


def test_the_unet_is_told_of_a_line_one_pixel_thin(tiny, picture):
    """The mask channel covers every cell that the line touches, and the picture is hidden there."""
    painter, seen = load_remover(str(tiny("inpainting")), steps=1, **OFFLINE).paint, []
    hook = painter.pipeline.unet.register_forward_pre_hook(lambda _, given: seen.append(given[0].clone()))
    mask = np.zeros((32, 32), bool)
    mask[:, 14] = True
    painter([cut(picture(32, 32), mask, 32)], [0])
    hook.remove()
    channels = seen[0][0]
    assert channels.shape[0] == 9
    assert channels[4].sum() == 8
    assert (channels[4][:, 3] == 1).all()


def test_weights_that_are_not_there_are_an_os_error(tmp_path):
    with pytest.raises(OSError, match="model_index"):
        pipelines.load(Checkpoint(str(tmp_path), "sd15", 9), Options(**OFFLINE), in_channels=9)
