"""Removal by OSOR: one step of a UNet that also says where the object's shadow and reflection were.

Zhou et al., "OSOR: One-Step Diffusion Inpainting for Effect-Aware Object Removal", ECCV 2026, arXiv 2606.28094. The
UNet is that of SDXL's checkpoint for inpainting with a fifth output channel. It sees the picture with the object in it:
`z` are its latents, `m` the mask by max-pooling, `z_t = √ᾱ·z + √(1 − ᾱ)·noise` at one fixed timestep, and the input is
`[z_t, m, z]`. Of the output `[ε, l]`, `x₀ = (z_t − √(1 − ᾱ)·ε)/√ᾱ` is the picture without the object, `a = σ(l)` how
much of it is to be taken, and `a·x₀ + (1 − a)·z` is decoded. The prompt is always the same.

The formula is that of the authors' code for inference (phase II). Not verified against the published weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from removal.checkpoints import osor
from removal.checkpoints.fetch import weights_file
from removal.checkpoints.known import look_up
from removal.crops.crop import Crop
from removal.painting import pipelines
from removal.painting.autoencoder import decode, encode_whole
from removal.painting.tensors import to_images, to_latent_masks, to_tensors
from removal.weights.loading import loading

if TYPE_CHECKING:
    from removal.checkpoints.presets import Checkpoint
    from removal.options import Options
    from removal.weights.batches import Batches

PROMPT = "Remove the instance of object"  # this and the next two are the authors'
TIMESTEP = 400  # of 1000
RESOLUTION = 512  # pixels of a crop's side; it was trained on 512
SURE, EDGE = 0.5, 0.1  # of a: something is changed where it passes the one, as far around as it passes the other


@dataclass(frozen=True)
class OsorPaint:
    """Paints square crops in batches, in one step; strength means nothing to it.

    `embeddings` are the prompt's, by their pipeline argument; `share` is ᾱ at the timestep.
    """

    pipeline: Any
    embeddings: dict[str, torch.Tensor]
    share: float
    resolution: int = RESOLUTION
    steps: int = 1
    strength: None = None

    def __call__(self, crops: list[Crop], seeds: list[int]) -> list[np.ndarray]:
        """One patch R×R×4 uint8 for each crop: its fourth channel is 255 where the model changed something.

        A crop's noise comes from its own seed, whatever batch it is in.
        """
        pictures, taken = self._painted(crops, seeds)
        regions = [changed(one, self.resolution) for one in taken.float().cpu().numpy()[:, 0]]
        pairs = zip(to_images(pictures), regions, strict=True)
        return [np.dstack([picture, region.astype(np.uint8) * 255]) for picture, region in pairs]

    def by_step(self, crops: list[Crop], seeds: list[int], batches: Batches) -> Iterator[list[np.ndarray]]:
        """The result alone, since there is one step."""
        rows = list(zip(crops, seeds, strict=True))
        yield list(batches(lambda some: self([crop for crop, _ in some], [seed for _, seed in some]), rows))

    @torch.inference_mode()
    def _painted(self, crops: list[Crop], seeds: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures N×3×R×R, 0..1, and of how much of each latent cell another was taken, N×1×r×r."""
        from diffusers.utils.torch_utils import randn_tensor

        unet, cell = self.pipeline.unet, self.pipeline.vae_scale_factor
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]  # the same noise on any device
        pictures = to_tensors([crop.image for crop in crops], unet.device) * 2 - 1
        seen = encode_whole(self.pipeline.vae, pictures, generators)
        noise = randn_tensor(seen.shape, generator=generators, device=seen.device, dtype=torch.float32)
        holes = F.max_pool2d(to_latent_masks([crop.mask for crop in crops], cell, unet.device), cell)
        noisy = self.share**0.5 * seen + (1 - self.share) ** 0.5 * noise
        said = self._said(torch.cat([noisy, holes, seen], dim=1))
        taken = said[:, 4:].sigmoid()
        clean = (noisy - (1 - self.share) ** 0.5 * said[:, :4]) / self.share**0.5
        return decode(self.pipeline.vae, clean * taken + seen * (1 - taken)), taken

    def _said(self, given: torch.Tensor) -> torch.Tensor:
        """The UNet's output for its input N×9×r×r: N×5×r×r in float32."""
        unet, side, count = self.pipeline.unet, self.resolution, len(given)
        prompt, pooled = (
            self.embeddings[name].to(unet.device, unet.dtype).repeat_interleave(count, dim=0)
            for name in ("prompt_embeds", "pooled_prompt_embeds")
        )
        size = torch.tensor([[side, side, 0, 0, side, side]] * count, dtype=unet.dtype, device=unet.device)
        more = {"text_embeds": pooled, "time_ids": size}
        return unet(
            given.to(unet.dtype), TIMESTEP, encoder_hidden_states=prompt, added_cond_kwargs=more, return_dict=False
        )[0].float()


def changed(taken: np.ndarray, side: int) -> np.ndarray:
    """The changed pixels of a crop, side×side bool, by the predicted change of each latent cell (r×r, 0..1): every
    place of certain change, with everything around it that fades into the picture.
    """
    smooth = cv2.resize(taken, (side, side), interpolation=cv2.INTER_LINEAR)
    _, parts = cv2.connectedComponents((smooth > EDGE).astype(np.uint8))
    meant = np.unique(parts[smooth > SURE])
    return np.isin(parts, meant)


def load(checkpoint: Checkpoint, options: Options) -> OsorPaint:
    """OSOR on its device: its own file merged into the checkpoint that it is based on, or a folder with all of it.

    Raises ValueError for weights of another kind, OSError when they are unavailable.
    """
    if options.compile == "on" or options.attention != "plain":
        raise ValueError("osor takes a single step as it was trained; leave --compile and --attention out")
    file = weights_file(checkpoint, options.offline, options.accept_license) if checkpoint.base else None
    base = look_up(checkpoint.base, offline=options.offline) if checkpoint.base else checkpoint
    with loading():
        pipeline, embeddings = pipelines.with_embeddings(base, replace(options, prompt=PROMPT), guided=False)
        if file:
            osor.merge(pipeline.unet, file)
    _refuse_other(checkpoint.repo, pipeline)
    own = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    return OsorPaint(pipeline, embeddings, _share(pipeline), checkpoint.resolution or min(own, RESOLUTION))


def _refuse_other(name: str, pipeline: Any) -> None:
    """Raises ValueError unless a pipeline has the UNet that this takes."""
    config = pipeline.unet.config
    if (config.in_channels, config.out_channels) != (9, osor.OUTPUTS) or config.addition_embed_type != "text_time":
        raise ValueError(
            f"{name} has {config.in_channels} input and {config.out_channels} output channels; osor takes a UNet of "
            f"SDXL with 9 and {osor.OUTPUTS}, of which the fifth says where shadow and reflection were: use --model "
            "osor, or a folder of such a checkpoint"
        )
    if (kind := pipeline.scheduler.config.prediction_type) != "epsilon":
        raise ValueError(f"{name} predicts {kind}, and osor predicts noise; use --model osor")


def _share(pipeline: Any) -> float:
    """ᾱ at the timestep: how much of the picture's variance the noise leaves there, by the checkpoint's scheduler."""
    from diffusers import DDPMScheduler

    return float(DDPMScheduler.from_config(pipeline.scheduler.config).alphas_cumprod[TIMESTEP])
