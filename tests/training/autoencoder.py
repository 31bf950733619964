"""The bundled AutoencoderKL: 128×128 pixels to 32×32×4 latents, trained from scratch in minutes.

From the default start so small a model never learns colour: its group norms wipe the absolute level. It therefore
starts as an average pool down and a nearest upsample on three carried channels, and learns the rest from there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from removal.bundled.scenes import SIZE, TRAINING_SEEDS, scene
from tests.training.loop import Lesson, Schedule, fit

RGB = slice(0, 3)
LIFT = 3.0  # keeps the carried channels where SiLU is nearly the identity


def build():
    """A fresh AutoencoderKL (0.65 M parameters, three blocks, so 4 pixels to a latent)."""
    from diffusers import AutoencoderKL

    vae = AutoencoderKL(
        block_out_channels=(16, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=2,
        mid_block_add_attention=False,
        sample_size=SIZE,
    )
    with torch.no_grad():
        _carry_colours(vae)
    return vae


def train(schedule: Schedule, folder: Path, device: str, log=print):
    """An AutoencoderKL trained on crops of scenes, a quarter of them with grey holes as inpainting encodes them."""
    vae = build()
    images = torch.from_numpy(np.stack([scene(TRAINING_SEEDS + i).image for i in range(schedule.scenes)]))
    images = images.permute(0, 3, 1, 2)

    def batch_at(step: int):
        random = schedule.random(step)
        picks = torch.randint(len(images), (schedule.batch,), generator=random)
        x, y = torch.randint((SIZE - 48) // 4 + 1, (2,), generator=random) * 4
        batch = images[picks, :, y : y + 48, x : x + 48].float() / 127.5 - 1
        if step % 4 == 0:
            left, top, width, height = torch.randint(4, 36, (4,), generator=random).tolist()
            batch[:, :, top : top + height, left : left + width] = 0
        return batch, torch.randn((schedule.batch, 4, 12, 12), generator=random)

    def loss_of(vae, batch, noise) -> torch.Tensor:
        posterior = vae.encode(batch).latent_dist
        decoded = vae.decode(posterior.mean + posterior.std * noise).sample
        anchor = (posterior.mean[:, RGB] - 2 * F.avg_pool2d(batch, 4)).abs().mean()
        return _difference(decoded, batch) + 0.05 * anchor + 2e-4 * posterior.kl().mean() / posterior.mean[0].numel()

    vae = fit("autoencoder", vae.to(device), Lesson(batch_at, loss_of), schedule, folder, log).cpu()
    with torch.no_grad():  # unit variance for the diffusion model, as Rombach et al. 2022 do
        spread = vae.encode(images[:64].float() / 127.5 - 1).latent_dist.mean.std().item()
    vae.register_to_config(scaling_factor=round(1 / spread, 4))
    return vae


def _difference(decoded: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
    """L1 of the pixels, of their gradients (edges) and of their 4× average (tone)."""
    off = decoded - batch
    edges = off.diff(dim=2).abs().mean() + off.diff(dim=3).abs().mean()
    return off.abs().mean() + 0.35 * edges + F.avg_pool2d(off, 4).abs().mean()


def _carry_colours(vae) -> None:
    """Start as a 4× average pool (times 2) down and a nearest upsample up, in channels 0 to 2."""
    encoder, decoder = vae.encoder, vae.decoder
    _pass_through(encoder.conv_in)
    for block in encoder.down_blocks:
        _carry_block(block)
        for down in block.downsamplers or ():
            down.conv.weight[RGB] = 0
            for c in range(3):
                down.conv.weight[c, c, 0:2, 0:2] = 0.25  # padded right and below, so these taps are the 2×2 cell
            down.conv.bias[RGB] = 0
    _carry_block(encoder.mid_block)
    _carry_head(encoder, gain=2.0)
    vae.quant_conv.weight[:] = torch.eye(8)[:, :, None, None]
    vae.quant_conv.bias[:] = 0
    vae.quant_conv.weight[4:] *= 0.1
    vae.quant_conv.bias[4:] = -6.0  # log-variance: noise of 1 at the start would drown the code

    vae.post_quant_conv.weight[:] = torch.eye(4)[:, :, None, None]
    vae.post_quant_conv.bias[:] = 0
    _pass_through(decoder.conv_in, gain=0.5)
    _carry_block(decoder.mid_block)
    for block in decoder.up_blocks:
        _carry_block(block)
        for up in block.upsamplers or ():
            _pass_through(up.conv)
    _carry_head(decoder, gain=1.0)


def _pass_through(conv: torch.nn.Conv2d, gain: float = 1.0) -> None:
    middle = conv.kernel_size[0] // 2
    conv.weight[RGB] = 0
    for c in range(3):
        conv.weight[c, c, middle, middle] = gain
    conv.bias[RGB] = 0


def _carry_block(block) -> None:
    for resnet in block.resnets:
        resnet.conv2.weight[RGB] *= 0.1
        resnet.conv2.bias[RGB] = 0
        if resnet.conv_shortcut is not None:
            _pass_through(resnet.conv_shortcut)


def _carry_head(coder, gain: float) -> None:
    """Undo the last group norm and SiLU for the carried channels.

    Two constant channels of ±LIFT set the group's spread, so that the level of the others survives the norm.
    """
    last = (coder.up_blocks if hasattr(coder, "up_blocks") else [coder.mid_block])[-1].resnets[-1]
    for channel, sign in ((3, 1.0), (4, -1.0)):
        last.conv2.weight[channel] *= 0.1
        last.conv2.bias[channel] = sign * LIFT * 3
    norm, out = coder.conv_norm_out, coder.conv_out
    group = norm.num_channels // norm.num_groups
    spread = (2 * (LIFT * 3) ** 2 / group) ** 0.5
    norm.weight[RGB] = spread
    norm.bias[RGB] = LIFT
    _pass_through(out, gain)
    out.bias[RGB] = -gain * LIFT
