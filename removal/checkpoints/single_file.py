"""A single `.safetensors` file in the original Stable Diffusion layout: only weights, and not always all of them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from removal.weights.loading import loading
from removal.weights.strict import BUFFER, some

TEXT = re.compile(r"(cond_stage_model|conditioner\.embedders\.\d)\.(transformer|model)\.")
# The names of OpenCLIP, whose last layer and projection are not always used.
OPEN_CLIP = re.compile(
    r"transformer\.resblocks\.\d+\.(ln_[12]|attn\.(in_proj|out_proj)|mlp\.c_(fc|proj))[._](weight|bias)|"
    r"ln_final\.(weight|bias)|positional_embedding|token_embedding\.weight|text_projection|logit_scale|attn_mask"
)
# Leftovers of training in such files: averages of the weights, the loss, and the noise schedule.
TRAINING = re.compile(
    r"(first_stage_model\.)?model_ema\..+|first_stage_model\.loss\..+|denoiser\.sigmas|logvar|scale_factor|"
    r"cond_stage_model\.logit_scale|(sqrt_.*|log_.*|posterior_.*)?(betas|alphas_cumprod(_prev)?|variance|mean_coef[12])|"
    r"posterior_log_variance_clipped"
)


@dataclass
class Loaded:
    """The use of a file's tensors: missing ones by a network's `id`, unexpected names, and storages in use."""

    missing: dict[int, list[str]] = field(default_factory=dict)
    too_many: list[str] = field(default_factory=list)
    used: set[int] = field(default_factory=set)


def from_single_file(kind: Any, file: Path, configs: Path, given: dict[str, Any]) -> Any:
    """A pipeline of a `kind` from a file, with the configs and tokenizer of a diffusers folder that it descends from.

    diffusers' own table of these names withdrawn repos; it silently leaves missing tensors random, and drops unknown
    ones. Raises ValueError for a file that lacks weights, holds others besides, or is of another kind than the configs.
    """
    from diffusers.loaders.single_file_utils import SingleFileComponentError
    from safetensors.torch import load_file

    state = load_file(file)
    with loading(), _noting() as loaded:
        try:
            dtypes = {"unet": given["dtype"], "vae": torch.float32}
            networks = {name: _network(name, state, configs, dtype) for name, dtype in dtypes.items()}
            pipeline = kind.from_single_file(
                str(file), config=str(configs), local_files_only=True, **(networks | given)
            )
        except SingleFileComponentError as error:  # a bare Exception that advises the programmer after its first line
            raise ValueError(f"{file} does not hold all the weights: {str(error).splitlines()[0]}") from error
        except RuntimeError as error:
            if "size mismatch" not in str(error):
                raise
            raise ValueError(
                f"{file} is not a checkpoint of the kind that its first tensors suggest "
                f"({str(error).splitlines()[1].strip()})"
            ) from error
    parts = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
    for name, network in parts.items():
        if lacks := loaded.missing.get(id(network), []) or _unfilled(network):
            raise ValueError(
                f"{file} does not hold all the weights: its {name} lacks {some(lacks)}; fetch it again, "
                "or take a file that has them all"
            )
    texts = [network for name, network in parts.items() if name.startswith("text")]
    if besides := [*loaded.too_many, *_unused(state, loaded.used, texts)]:
        raise ValueError(
            f"{file} holds more than a checkpoint of its kind: {some(besides)} would be dropped; take a file without, "
            "or a diffusers folder of this checkpoint"
        )
    return pipeline


def _network(name: str, state: dict[str, torch.Tensor], configs: Path, dtype: torch.dtype) -> torch.nn.Module:
    """One network of the file, without accelerate, with which a pipeline crashes on missing weights."""
    import diffusers

    kind = getattr(diffusers, {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL"}[name])
    place = {"config": str(configs), "subfolder": name, "local_files_only": True}
    return kind.from_single_file(dict(state), **place, dtype=dtype, low_cpu_mem_usage=False)


@contextlib.contextmanager
def _noting() -> Iterator[Loaded]:
    """Record, within this block, which tensors networks were given and lacked: diffusers discards these lists."""
    loaded = Loaded()
    inner = torch.nn.Module.load_state_dict

    def noted(network: torch.nn.Module, state: Any, *given: Any, **named: Any) -> Any:
        answer = inner(network, state, *given, **named)
        loaded.missing[id(network)] = list(answer.missing_keys)
        loaded.too_many += [name for name in answer.unexpected_keys if not BUFFER.search(name)]
        loaded.used |= {tensor.data_ptr() for tensor in state.values()}
        return answer

    torch.nn.Module.load_state_dict = noted
    try:
        yield loaded
    finally:
        torch.nn.Module.load_state_dict = inner


def _unfilled(network: torch.nn.Module) -> list[str]:
    """Names of a text encoder's weights that the file lacks: accelerate leaves them on the meta device."""
    return [name for name, weight in network.named_parameters() if weight.is_meta]


def _unused(state: dict[str, torch.Tensor], used: set[int], texts: list[torch.nn.Module]) -> Iterable[str]:
    """Names in the file that no network has used. Text encoders' names count only if one was loaded."""
    known = {name.removeprefix("text_model.") for text in texts for name in text.state_dict()}
    for name, tensor in state.items():
        if BUFFER.search(name) or TRAINING.fullmatch(name) or tensor.data_ptr() in used:
            continue
        if text := TEXT.match(name):
            inner = name[text.end() :]
            if not texts or inner.removeprefix("text_model.") in known or OPEN_CLIP.fullmatch(inner):
                continue
        yield name
