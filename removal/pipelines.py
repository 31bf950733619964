"""Loads a diffusers inpainting pipeline, and makes of it a painter."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from removal.bundled import sums
from removal.checkpoints import BUNDLED, Checkpoint, parent_repo
from removal.painter import Painter
from removal.words import embeddings

if TYPE_CHECKING:
    from removal.removers import Options

_loading = threading.Lock()  # two from_pretrained at once leave weights on the meta device (diffusers #4296)


def load(checkpoint: Checkpoint, options: Options, in_channels: int, usual_strength: float = 1.0) -> Painter:
    """A painter for a checkpoint whose UNet takes `in_channels` (4 or 9), on its device.

    Raises ValueError when the weights turn out to have another number of channels, OSError when they cannot be had.
    """
    if options.compile and options.attention != "plain":
        raise ValueError("hole attention differs from batch to batch and cannot be compiled; use --attention plain")
    with _loading:
        pipeline = _pipeline(checkpoint, options)
    found = pipeline.unet.config.in_channels
    if found != in_channels:
        raise ValueError(f"{checkpoint.repo} has {found} input channels where {in_channels} were expected")
    _settle(pipeline, options.torch_device())
    if options.compile:
        pipeline.unet.compile(dynamic=False)  # most of the work; the autoencoder's decoding has batches of its own size
    # An empty prompt has nothing to guide towards.
    guidance = options.guidance if options.guidance is not None else 7.5 if options.prompt else 1.0
    return Painter(
        pipeline,
        embeddings(pipeline, options.prompt, guided=guidance > 1),
        checkpoint.resolution or pipeline.unet.config.sample_size * pipeline.vae_scale_factor,
        options.steps,
        _strength(pipeline, options, usual_strength),
        guidance,
        options.prefill,
        options.attention == "hole",
    )


def _strength(pipeline: Any, options: Options, usual: float) -> float:
    """What was asked for, else what suits the method and the checkpoint."""
    if options.strength is not None:
        return options.strength
    # SDXL's inpainting card warns that strength 1 (pure noise) degrades it; the others start from pure noise.
    usual = min(usual, 0.99 if hasattr(pipeline, "text_encoder_2") else 1.0)
    return usual if int(options.steps * usual) >= 1 else 1.0  # with so few steps none would be left


def _settle(pipeline: Any, device: torch.device) -> None:
    """Puts a pipeline on its device, in the order in memory and the precision that are fastest there."""
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(device)
    pipeline.unet.to(memory_format=order_on(device))
    pipeline.vae.to(memory_format=order_on(device))
    # The autoencoders of SDXL alone overflow, and in float16 alone; diffusers casts them for bfloat16 too.
    overflows = hasattr(pipeline, "text_encoder_2") and pipeline.vae.dtype == torch.float16
    pipeline.vae.register_to_config(force_upcast=overflows and pipeline.vae.config.force_upcast)


def order_on(device: torch.device) -> torch.memory_format:
    """How weights lie in memory: with their channels last on CUDA, whose convolutions would turn any other round."""
    return torch.channels_last if device.type == "cuda" else torch.preserve_format


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
