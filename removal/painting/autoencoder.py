"""Pictures to latents in one batch, latents to pictures a few at a time; stock pipelines go one by one, or all at once.

The distributions are sampled as a stock pipeline samples them, each from its own picture's generator and in the same
order, so that a picture is the same in any batch and from either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

DECODED = 8  # pictures of 512² at once: at 32 an upsampling has 2³¹ values and fails (diffusers #1150)
ENCODED = 32  # the encoder has half as many channels there
PIXELS = 512**2
CELLS = 64**2  # latent cells of a picture of 512²


@torch.no_grad()
def encode(
    pipeline: Any, pictures: torch.Tensor, holes: torch.Tensor, generators: list[torch.Generator], strength: float
) -> dict[str, torch.Tensor]:
    """The arguments `image` and `masked_image_latents` of a stock inpainting pipeline, each N×4×r×r in float32.

    `pictures` is N×3×R×R, 0..1, `holes` N×1×R×R, 1 where to paint. The generators are left where the pipeline goes on:
    it draws the noise between the two. Only what it looks at is encoded, which is one of the two, given for both, save
    for a UNet of 9 channels that does not start from noise alone.
    """
    unet, factor, pictures = pipeline.unet, pipeline.vae.config.scaling_factor, pictures * 2 - 1
    masked = [pictures * (holes < 0.5)] if unet.config.in_channels == 9 else []
    whole = [pictures] if not masked or strength < 1 else []
    found = _distributions(pipeline.vae, torch.cat(whole + masked), len(pictures))
    drawn = [one.sample(generators) for one in found[: len(whole)]]
    drawn += [one.sample(_after_the_noise(generators, one.mean.shape)) for one in found[len(whole) :]]
    latents = [one * factor for one in drawn]
    return {"image": latents[0], "masked_image_latents": latents[-1]}


@torch.no_grad()
def encode_whole(vae: Any, pictures: torch.Tensor, generators: list[torch.Generator]) -> torch.Tensor:
    """Latents N×4×r×r in float32 of pictures N×3×R×R, -1..1, each sampled by its own generator."""
    return _distributions(vae, pictures, len(pictures))[0].sample(generators) * vae.config.scaling_factor


@torch.no_grad()
def decode(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """N×3×R×R, 0..1 and a little beyond, of latents N×4×r×r, as stock pipelines decode their last ones."""
    config = vae.config
    latents = latents.to(vae.dtype) / config.scaling_factor
    if config.get("latents_mean") is not None and config.get("latents_std") is not None:
        mean, std = (latents.new_tensor(one).view(1, -1, 1, 1) for one in (config.latents_mean, config.latents_std))
        latents = latents * std + mean
    at_once = min(DECODED, max(1, DECODED * CELLS // latents[0, 0].numel()))
    pictures = [vae.decode(some, return_dict=False)[0] for some in latents.split(at_once)]
    return torch.cat(pictures).float() / 2 + 0.5


def _distributions(vae: Any, pictures: torch.Tensor, count: int) -> list[Any]:
    """The latents' distributions of pictures -1..1 in float32, encoded together and then taken apart, `count` each."""
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    at_once = max(1, ENCODED * PIXELS // pictures[0, 0].numel())
    said = [vae.encode(some) for some in pictures.to(vae.dtype).split(at_once)]
    if hasattr(said[0], "latents"):
        return [Certain(some) for some in torch.cat([one.latents for one in said]).float().split(count)]
    moments = torch.cat([one.latent_dist.parameters for one in said]).float()
    return [DiagonalGaussianDistribution(some) for some in moments.split(count)]


@dataclass(frozen=True)
class Certain:
    """The latents N×4×r×r of an autoencoder that leaves nothing to chance (TAESD), to be taken as a distribution."""

    mean: torch.Tensor

    def sample(self, generators: list[torch.Generator]) -> torch.Tensor:
        return self.mean


def _after_the_noise(generators: list[torch.Generator], shape: torch.Size) -> list[torch.Generator]:
    """Copies of the generators, as the pipeline leaves its own once it has drawn the noise N×4×r×r."""
    from diffusers.utils.torch_utils import randn_tensor

    later = [generator.clone_state() for generator in generators]
    randn_tensor(shape, generator=later, dtype=torch.float32)
    return later
