"""Loads a diffusers inpainting pipeline and drives it from outside, as a rule with an empty prompt."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from removal.attention import hole_attention
from removal.bundled import sums
from removal.checkpoints import BUNDLED, Checkpoint, parent_repo
from removal.crop import Crop
from removal.prefill import prefill
from removal.tensors import to_images, to_latent_masks, to_tensors

if TYPE_CHECKING:
    from removal.removers import Options

_loading = threading.Lock()  # two from_pretrained at once leave weights on the meta device (diffusers #4296)


@dataclass(frozen=True)
class Painter:
    """A loaded pipeline that repaints crops. Schedulers are stateful, so one painter serves one caller at a time.

    `words` holds the prompt's embeddings by their pipeline argument, computed once. `resolution` is a crop's side in
    pixels: what the checkpoint was trained at, which its config does not always say. `prefilled` fills the holes before
    they are encoded; `hole_attention` keeps them from attending to themselves.
    """

    pipeline: Any
    words: dict[str, torch.Tensor]
    resolution: int
    steps: int
    strength: float
    guidance: float = 1.0
    prefilled: bool = True
    hole_attention: bool = False

    def __call__(
        self, crops: list[Crop], seeds: list[int], after_step: Callable[..., dict[str, Any]] | None = None
    ) -> list[np.ndarray]:
        """One patch R×R×3 uint8 per crop; a crop's noise comes from its own seed, whatever batch it is in.

        `after_step` is called at the end of every step with what diffusers gives a `callback_on_step_end`.
        """
        count, cell = len(crops), self.pipeline.vae_scale_factor
        holes = to_latent_masks([crop.mask for crop in crops], cell)
        images = [prefill(crop.image, crop.mask) if self.prefilled else crop.image for crop in crops]
        attention = hole_attention(self.pipeline.unet, F.max_pool2d(holes, cell))
        with attention if self.hole_attention else contextlib.nullcontext():
            painted = self.pipeline(
                image=to_tensors(images),
                mask_image=holes,
                **{name: words.repeat_interleave(count, dim=0) for name, words in self.words.items()},
                height=self.resolution,
                width=self.resolution,
                strength=self.strength,
                num_inference_steps=self.steps,
                guidance_scale=self.guidance,
                generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],  # the same noise on any device
                output_type="pt",
                callback_on_step_end=after_step,
            ).images
        return to_images(painted)


def load(checkpoint: Checkpoint, options: Options, in_channels: int, usual_strength: float = 1.0) -> Painter:
    """A painter for a checkpoint whose UNet takes `in_channels` (4 or 9), on its device.

    Raises ValueError when the weights turn out to have another number of channels, OSError when they cannot be had.
    """
    with _loading:
        pipeline = _pipeline(checkpoint, options)
    found = pipeline.unet.config.in_channels
    if found != in_channels:
        raise ValueError(f"{checkpoint.repo} has {found} input channels where {in_channels} were expected")
    pipeline.set_progress_bar_config(disable=True)
    device = options.torch_device()
    pipeline.to(device)
    # SDXL's inpainting card warns that strength 1 (pure noise) degrades it; the others start from pure noise.
    usual = min(usual_strength, 0.99 if hasattr(pipeline, "text_encoder_2") else 1.0)
    if int(options.steps * usual) < 1:
        usual = 1.0  # so few steps that none would be left
    strength = usual if options.strength is None else options.strength
    # An empty prompt has nothing to guide towards; above 1 only doubles the work.
    guidance = options.guidance if options.guidance is not None else 7.5 if options.prompt else 1.0
    return Painter(
        pipeline,
        _words(pipeline, options.prompt, device, guided=guidance > 1),
        checkpoint.resolution or pipeline.unet.config.sample_size * pipeline.vae_scale_factor,
        options.steps,
        strength,
        guidance,
        options.prefill,
        options.attention == "hole",
    )


def _pipeline(checkpoint: Checkpoint, options: Options) -> Any:
    from diffusers import (
        DPMSolverMultistepScheduler,
        StableDiffusionInpaintPipeline,
        StableDiffusionXLInpaintPipeline,
    )
    from diffusers.utils import logging

    logging.disable_progress_bar()  # of loading parts from disk; a batch job has a bar of its own
    # Without the safety checker, which blackens pictures, and without the watermark, which changes them; nothing is
    # drawn here from a caption.
    plain: dict[str, Any]
    if checkpoint.family == "sdxl":
        kind, plain = StableDiffusionXLInpaintPipeline, {"add_watermarker": False}
    else:
        kind = StableDiffusionInpaintPipeline
        plain = {"safety_checker": None, "requires_safety_checker": False, "feature_extractor": None}
    given = {"dtype": options.torch_dtype(), **plain}
    if Path(checkpoint.repo).parent == BUNDLED:
        sums.check(Path(checkpoint.repo))
    pipeline = (_from_file if checkpoint.is_file else _from_repo)(kind, checkpoint, options, given)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    return pipeline


def _from_repo(kind: Any, checkpoint: Checkpoint, options: Options, given: dict[str, Any]) -> Any:
    """From a hub id or a diffusers folder."""
    return kind.from_pretrained(
        checkpoint.repo,
        revision=checkpoint.revision,
        variant=None if checkpoint.is_local else checkpoint.variant,
        local_files_only=options.offline or checkpoint.is_local,
        use_safetensors=True,
        **given,
    )


def _from_file(kind: Any, checkpoint: Checkpoint, options: Options, given: dict[str, Any]) -> Any:
    """From a single file, which holds weights alone.

    What they are assembled to comes from the repo they descend from, since diffusers' own table still names withdrawn
    ones. Raises ValueError for a file without a VAE or text encoder.
    """
    from diffusers.loaders.single_file_utils import SingleFileComponentError
    from huggingface_hub import snapshot_download

    configs = parent_repo(checkpoint)
    if options.offline:  # diffusers, told local_files_only, asks the hub all the same when the cache lacks them
        configs = snapshot_download(configs, local_files_only=True)
    try:
        return kind.from_single_file(checkpoint.repo, config=configs, local_files_only=options.offline, **given)
    except SingleFileComponentError as error:  # a bare Exception that advises the programmer after its first line
        raise ValueError(f"{checkpoint.repo} holds not all the weights: {str(error).splitlines()[0]}") from error


def _words(pipeline: Any, prompt: str, device: torch.device, guided: bool) -> dict[str, torch.Tensor]:
    """The prompt's embeddings, and with guidance those of the empty prompt that it is led away from."""
    with torch.inference_mode():
        encoded = pipeline.encode_prompt(
            prompt, device=device, num_images_per_prompt=1, do_classifier_free_guidance=guided
        )
    names = ["prompt_embeds", "negative_prompt_embeds"]
    if hasattr(pipeline, "text_encoder_2"):
        names += ["pooled_prompt_embeds", "negative_pooled_prompt_embeds"]
    return {name: words for name, words in zip(names, encoded, strict=False) if words is not None}
