"""Pictures to latents and back are what a stock pipeline makes of them, in fewer calls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from removal import load_remover
from removal.checkpoints.known import look_up
from removal.crops.crop import Crop, cut
from removal.methods import attentive
from removal.options import Options
from removal.painting.autoencoder import decode, encode
from removal.painting.prefill import prefill
from removal.painting.tensors import to_images, to_latent_masks, to_tensors

STEPS, SEEDS = 3, [5, 6, 7]
ON_CPU = {"offline": True, "device": "cpu"}


@pytest.fixture
def crops(picture) -> list[Crop]:
    """Three crops 32×32 with different holes."""
    masks = [np.zeros((32, 32), bool) for _ in SEEDS]
    masks[0][6:18, 8:21] = True
    masks[1][20:29, 3:11] = True
    masks[2][0:32, 14] = True
    return [cut(np.roll(picture(32, 32), 5 * k, axis=0), mask, 32) for k, mask in enumerate(masks)]


def stock(pipeline, crops: list[Crop], **given) -> list[np.ndarray]:
    """What a stock pipeline itself makes of filled crops, given pixels and the empty prompt as text."""
    from diffusers import DPMSolverMultistepScheduler

    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    painted = pipeline(
        prompt=[""] * len(crops),
        image=to_tensors([prefill(crop.image, crop.mask) for crop in crops]),
        mask_image=to_latent_masks([crop.mask for crop in crops], pipeline.vae_scale_factor),
        height=32,
        width=32,
        num_inference_steps=STEPS,
        generator=[torch.Generator().manual_seed(seed) for seed in SEEDS],
        output_type="pt",
        **given,
    )
    return to_images(painted.images)


def stock_pipeline(folder, kind: str):
    from diffusers import StableDiffusionInpaintPipeline, StableDiffusionXLInpaintPipeline

    if kind.endswith("xl"):
        return StableDiffusionXLInpaintPipeline.from_pretrained(folder, add_watermarker=False)
    return StableDiffusionInpaintPipeline.from_pretrained(folder, safety_checker=None)


def levels_apart(first: list[np.ndarray], second: list[np.ndarray]) -> int:
    return int(np.abs(np.stack(first).astype(int) - np.stack(second)).max())


@pytest.mark.parametrize("kind", ["inpainting", "plain", "xl", "plain-xl"])
@pytest.mark.parametrize("strength", [1.0, 0.7])
@pytest.mark.parametrize("guidance", [1.0, 7.5])
def test_a_patch_is_the_stock_pipelines_within_one_level(tiny, crops, kind, strength, guidance):
    """With guidance too: where it cancels, and where SDXL's zeros make it count."""
    painter = load_remover(str(tiny(kind)), steps=STEPS, strength=strength, guidance=guidance, **ON_CPU).paint
    given = {"strength": strength, "guidance_scale": guidance}
    assert levels_apart(painter(crops, SEEDS), stock(stock_pipeline(tiny(kind), kind), crops, **given)) <= 1


@pytest.mark.parametrize("kind", ["inpainting", "plain", "xl", "plain-xl"])
@pytest.mark.parametrize("strength", [1.0, 0.7])
def test_attentive_eraser_takes_latents_as_it_takes_pixels(tiny, crops, kind, strength):
    options = Options(steps=STEPS, strength=strength, **ON_CPU)
    painter = attentive.load(look_up(str(tiny(kind))), options)
    assert levels_apart(painter(crops, SEEDS), replace(painter, encoded=False)(crops, SEEDS)) <= 1


@pytest.mark.parametrize("strength", [1.0, 0.7])
@pytest.mark.parametrize("kind", ["inpainting", "plain"])
def test_latents_of_a_picture_are_the_same_in_any_batch_and_the_generators_go_on_alike(tiny, crops, kind, strength):
    pipeline = load_remover(str(tiny(kind)), steps=STEPS, **ON_CPU).paint.pipeline
    pictures, holes = to_tensors([crop.image for crop in crops]), to_latent_masks([crop.mask for crop in crops], 4)
    together, alone = ([torch.Generator().manual_seed(seed) for seed in SEEDS] for _ in range(2))
    batch = encode(pipeline, pictures, holes, together, strength)
    for k, generator in enumerate(alone):
        one = encode(pipeline, pictures[k : k + 1], holes[k : k + 1], [generator], strength)
        assert all((one[name][0] - batch[name][k]).abs().max() < 1e-5 for name in ("image", "masked_image_latents"))
        assert generator.get_state().equal(together[k].get_state())


def test_what_is_in_the_hole_does_not_reach_the_latents_of_the_masked_picture(tiny, crops):
    pipeline = load_remover(str(tiny("inpainting")), steps=STEPS, **ON_CPU).paint.pipeline
    pictures, holes = to_tensors([crop.image for crop in crops]), to_latent_masks([crop.mask for crop in crops], 4)
    first, second = (
        encode(pipeline, values, holes, [torch.Generator().manual_seed(seed) for seed in SEEDS], 0.5)
        for values in (pictures, torch.where(holes > 0, 1 - pictures, pictures))
    )
    assert first["masked_image_latents"].equal(second["masked_image_latents"])
    assert not first["image"].equal(second["image"])


# Decoding ------------------------------------------------------------------------------------------------------------


class Vae:
    """Stands in for an autoencoder that doubles what it is given, and notes in which precision."""

    def __init__(self, dtype: torch.dtype, **config):
        from diffusers.configuration_utils import FrozenDict

        self.dtype, self.seen, self.rows = dtype, [], []
        self.config = FrozenDict({"scaling_factor": 0.5, "force_upcast": True, **config})

    def decode(self, latents, return_dict):
        self.seen.append(latents.dtype)
        self.rows.append(len(latents))
        return (latents * 2,)


@pytest.mark.parametrize("own", [torch.float16, torch.float32])
@pytest.mark.parametrize("latents", [torch.float16, torch.bfloat16, torch.float32])
def test_an_autoencoder_decodes_in_its_own_precision_whatever_the_latents_have(own, latents):
    vae = Vae(own)
    assert decode(vae, torch.ones(1, 4, 2, 2, dtype=latents)).dtype == torch.float32
    assert vae.seen == [own]


def test_latents_are_put_back_on_the_autoencoders_own_scale():
    vae = Vae(torch.float32, latents_mean=[1.0, 0, 0, 0], latents_std=[1.0, 2.0, 1.0, 1.0])
    shown = decode(vae, torch.ones(1, 4, 1, 1)).flatten().tolist()
    assert shown == [3 + 0.5, 4 + 0.5, 2 + 0.5, 2 + 0.5]  # ((latent / 0.5) · std + mean) · 2 / 2 + 0.5


@pytest.mark.parametrize(("side", "rows"), [(4, [8, 8, 4]), (64, [8, 8, 4]), (96, [3] * 6 + [2]), (256, [1] * 20)])
def test_so_many_are_decoded_at_once_as_an_upsampling_can_count(side, rows):
    """Up to 8 pictures of 512², 64 latent cells wide, or as many pixels of larger ones."""
    vae = Vae(torch.float32)
    latents = torch.arange(20.0).view(20, 1, 1, 1).expand(20, 4, side, side)
    decoded = decode(vae, latents)
    assert vae.rows == rows
    assert decoded[:, 0, 0, 0].equal(latents[:, 0, 0, 0] / 0.5 + 0.5)
