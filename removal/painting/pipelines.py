"""Loads a diffusers inpainting pipeline and wraps it in a painter."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diffusers
import torch

from removal.bundled import sums
from removal.checkpoints.diffusers_folder import NETWORKS, variant_of
from removal.checkpoints.fetch import configs_for, fetch
from removal.checkpoints.lora import LCM_STEPS, find, fuse, is_lcm
from removal.checkpoints.presets import BUNDLED, Checkpoint
from removal.checkpoints.single_file import from_single_file
from removal.checkpoints.vae import autoencoder, exchange
from removal.painting import embeddings_cache
from removal.painting.noise import LCMInFloat32, draw_in_float32
from removal.painting.offloading import offload, offloaded
from removal.painting.painter import Painter
from removal.painting.prefill import chosen
from removal.painting.prompt_embeddings import encoded, needed
from removal.weights.configs import read_config
from removal.weights.devices import autoencoder_precision, weights_leave
from removal.weights.files import one_set
from removal.weights.loading import loading, pretrained
from removal.weights.strict import strict

if TYPE_CHECKING:
    from removal.options import Options


def load(checkpoint: Checkpoint, options: Options, in_channels: int, usual_strength: float = 1.0) -> Painter:
    """A painter for a checkpoint whose UNet takes `in_channels` (4 or 9), on its device.

    Raises ValueError if the weights have another number of channels, or are incomplete, OSError if they are
    unavailable.
    """
    if options.compile == "on" and options.attention != "plain":
        raise ValueError("hole attention differs from batch to batch and cannot be compiled; use --attention plain")
    # An empty prompt has nothing to guide towards, and a consistency model is guided already.
    lcm = any(map(is_lcm, options.lora))
    guidance = options.guidance if options.guidance is not None else 7.5 if options.prompt and not lcm else 1.0
    with loading():
        pipeline, embeddings = with_embeddings(checkpoint, options, guidance > 1)
    found = pipeline.unet.config.in_channels
    if found != in_channels:
        raise ValueError(f"{checkpoint.repo} has {found} input channels where {in_channels} were expected")
    steps = min(options.steps, LCM_STEPS) if lcm else options.steps
    return Painter(
        pipeline,
        needed(pipeline, embeddings),
        checkpoint.resolution or pipeline.unet.config.sample_size * pipeline.vae_scale_factor,
        steps,
        _strength(pipeline, options.strength, steps, usual_strength),
        guidance,
        chosen(options),
        options.attention == "hole",
        steady=options.attention == "plain" and not offloaded(pipeline.unet),
    )


def with_embeddings(checkpoint: Checkpoint, options: Options, guided: bool) -> tuple[Any, dict[str, torch.Tensor]]:
    """The pipeline on its device, and the prompt's embeddings: from the cache, or from text encoders then released."""
    folder = fetch(checkpoint, options.offline, options.accept_license)
    single = folder if checkpoint.is_file else None
    configs = configs_for(checkpoint, options.offline) if single else folder
    loras = [find(one, options.offline) for one in options.lora]
    device, dtype = options.torch_device(), options.torch_dtype()
    said = {"prompt": options.prompt, "guided": guided, "loras": [one.key for one in loras]}
    place = embeddings_cache.file_for(configs, single, **said, computed=[device.type, str(dtype)])
    embeddings = embeddings_cache.read(place, device)
    pipeline = pipeline_of(checkpoint, folder, configs, dtype, with_text=embeddings is None)
    if options.vae:
        exchange(pipeline, autoencoder(options.vae, checkpoint.family, options.offline))
    fuse(pipeline, loras)
    scheduler = LCMInFloat32 if any(map(is_lcm, options.lora)) else diffusers.DPMSolverMultistepScheduler
    pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)
    _settle(pipeline, device, weights_leave(options.offload, str(device)))
    if embeddings is None:
        embeddings = encoded(pipeline, options.prompt, guided)
        embeddings_cache.write(place, embeddings)
    return pipeline, embeddings


def _strength(pipeline: Any, asked: float | None, steps: int, usual: float) -> float:
    """The strength asked for, else the one that suits the method and the checkpoint."""
    if asked is not None:
        return asked if int(steps * asked) >= 1 else 1.0
    # SDXL's inpainting card warns that strength 1 (pure noise) degrades it; the others start from pure noise.
    usual = min(usual, 0.99 if hasattr(pipeline, "text_encoder_2") else 1.0)
    return usual if int(steps * usual) >= 1 else 1 / steps  # the least strength that leaves a step


def _settle(pipeline: Any, device: torch.device, leaving: bool) -> None:
    """Moves a pipeline to its device, each network in its precision; where weights are `leaving`, the text encoders."""
    pipeline.set_progress_bar_config(disable=True)
    if leaving:
        for encoder in (getattr(pipeline, name, None) for name in NETWORKS if name.startswith("text")):
            if encoder is not None:
                encoder.to(device)
    else:
        pipeline.to(device)
    # Most configs say force_upcast, and the autoencoders of SDXL alone overflow in float16.
    overflows = hasattr(pipeline, "text_encoder_2") and pipeline.vae.config.force_upcast
    pipeline.vae.to(autoencoder_precision(pipeline.unet.dtype, device.type, overflows))
    pipeline.vae.register_to_config(force_upcast=False)  # it keeps the precision that it needs
    if leaving:
        offload(pipeline, device)
    draw_in_float32(pipeline)


def pipeline_of(checkpoint: Checkpoint, folder: Path, configs: Path, dtype: torch.dtype, with_text: bool = True) -> Any:
    """The inpainting pipeline of a diffusers folder, or of a single file and the folder of its configs.

    Without the safety checker, which blackens pictures, and without the watermark, which changes them: nothing is drawn
    here from a caption. The autoencoder is loaded in float32, since its precision is another (`_settle`).
    """
    plain: dict[str, Any]
    text: tuple[str, ...]
    if checkpoint.family == "sdxl":
        kind, plain = diffusers.StableDiffusionXLInpaintPipeline, {"add_watermarker": False}
        text = ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
    else:
        kind, text = diffusers.StableDiffusionInpaintPipeline, ("text_encoder", "tokenizer")
        plain = {"safety_checker": None, "requires_safety_checker": False, "feature_extractor": None}
    given = {"dtype": dtype, **plain, **({} if with_text else dict.fromkeys(text))}
    if folder.parent == BUNDLED:
        sums.check(folder)
    if checkpoint.is_file:
        return from_single_file(kind, folder, configs, given)
    networks = _networks(checkpoint, folder, dtype, with_text)
    return pretrained(kind, folder, **given, **networks)


def _networks(checkpoint: Checkpoint, folder: Path, dtype: torch.dtype, with_text: bool) -> dict[str, Any]:
    """The networks of a diffusers folder by name: a pipeline that loads them itself does not report missing tensors."""
    index = read_config(folder / "model_index.json")
    parts = [part for part in NETWORKS if part in index and (with_text or not part.startswith("text"))]
    asked, networks = variant_of(folder, checkpoint.variant), {}
    for part in parts:
        library, name = index[part]
        if library not in ("diffusers", "transformers"):
            continue  # the pipeline checks it
        place = folder / part
        names = [file.name for file in place.glob("*.safetensors*")]
        half = any(".fp16" in one for one in one_set(names, NETWORKS[part], asked)) if names else False
        kind = getattr(import_module(library), name)
        own = torch.float32 if part == "vae" else dtype
        networks[part] = strict(
            kind, place, f"{part} of {checkpoint.repo}", variant="fp16" if half else None, dtype=own
        )
    return networks
