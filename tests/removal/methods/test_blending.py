"""Latent blending: what is kept is exactly the image, without a rest of noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from removal import load_remover


@pytest.fixture
def remove(tiny):
    return load_remover(str(tiny("plain")), steps=5, prefill=False, offline=True, device="cpu")


@pytest.fixture
def latents(remove, monkeypatch):
    """What one removal encoded from the image, and what it decoded in the end: both scaled alike, 4×8×8."""
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    vae, encoded, decoded = remove.paint.pipeline.vae, [], []
    sample, decode = DiagonalGaussianDistribution.sample, vae.decode

    def noted(self, generator=None):
        encoded.append(sample(self, generator))
        return encoded[-1]

    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", noted)
    monkeypatch.setattr(vae, "decode", lambda values, *a, **k: decoded.append(values) or decode(values, *a, **k))
    return encoded, decoded


def test_kept_latents_are_clean_at_the_end_and_the_hole_is_not_the_image(remove, latents, picture):
    mask = np.zeros((32, 32), bool)
    mask[8:20, 8:20] = True  # whole latent cells 2 to 4
    remove([picture(32, 32)], [mask], [3])
    encoded, decoded = latents
    hole = torch.zeros(8, 8, dtype=torch.bool)
    hole[2:5, 2:5] = True
    apart = (decoded[-1][0] - encoded[0][0]).abs()
    assert apart[:, ~hole].max() < 1e-5
    assert apart[:, hole].min(dim=0).values.max() > 0.1


def test_the_kept_latents_of_every_step_carry_the_noise_of_its_own_timestep(remove, latents, picture):
    """At step k the UNet sees √ᾱ·image + √(1−ᾱ)·noise outside the hole, with one noise for all steps."""
    seen = []
    pipeline = remove.paint.pipeline
    hook = pipeline.unet.register_forward_pre_hook(lambda _, given: seen.append((given[0][0], int(given[1]))))
    mask = np.zeros((32, 32), bool)
    mask[8:20, 8:20] = True
    remove([picture(32, 32)], [mask], [3])
    hook.remove()
    image = latents[0][0][0] * pipeline.vae.config.scaling_factor
    outside = torch.ones(8, 8, dtype=torch.bool)
    outside[2:5, 2:5] = False
    noises = []
    for values, timestep in seen:
        kept = pipeline.scheduler.alphas_cumprod[timestep]
        noises.append(((values - kept.sqrt() * image) / (1 - kept).sqrt())[:, outside])
    assert len(noises) == 5
    for noise in noises[1:]:  # the first step starts from pure noise
        assert (noise - noises[1]).abs().max() < 0.01
        assert 0.8 < noise.std() < 1.2


def test_a_plain_checkpoint_can_be_asked_to_blend_though_an_inpainting_child_is_known():
    remove = load_remover("bundled-base", method="blending", steps=1, offline=True, device="cpu")
    assert (remove.choice.method, remove.choice.checkpoint.in_channels) == ("blending", 4)
    assert remove.paint.pipeline.unet.config.in_channels == 4
