"""OSOR's weights: one file of safetensors with what was learnt on top of a checkpoint for inpainting, merged into it.

Zhou et al., "OSOR: One-Step Diffusion Inpainting for Effect-Aware Object Removal", ECCV 2026, arXiv 2606.28094. The
file holds a LoRA (Hu et al. 2021) of every layer of `LAYERS`, whose alpha is its rank, and the whole of `conv_out`,
which has a fifth channel. Not verified against the published weights, which were never loaded here; but these names
and shapes make a file of exactly the published size, 3,111,950,972 bytes at rank 256 in float32.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from removal.weights.strict import refuse_others

if TYPE_CHECKING:
    import torch

OUTPUTS = 5  # channels: the noise of the four latent ones, and what is changed (before the sigmoid)
LAYERS = re.compile(
    r"(^|\.)(to_[qkv]|to_out\.0|conv|conv1|conv2|conv_shortcut|proj_in|proj_out|ff\.net\.0\.proj|ff\.net\.2)$"
)
DOWN, UP = ".lora_A.weight", ".lora_B.weight"
LAST = "conv_out.weight"


def plain(name: str) -> str:
    """A tensor's name in such a file as the UNet itself would have it."""
    name = name.replace("module.", "").replace("_orig_mod.", "")  # of wrappers in training
    return name.removeprefix("unet.").replace(".default.weight", ".weight")


def outputs(names: Iterable[str], shape: Any) -> int | None:
    """The output channels of such a file's UNet; None for another kind of file, by the names of its tensors."""
    named = {plain(name): name for name in names}
    if LAST not in named or not any(name.endswith(DOWN) for name in named):
        return None
    return int(shape(named[LAST])[0])


def layout(unet: Any, rank: int) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor that such a file has for a UNet, by name."""
    last = unet.conv_out
    shapes: dict[str, tuple[int, ...]] = {
        LAST: (OUTPUTS, last.in_channels, *last.kernel_size),
        "conv_out.bias": (OUTPUTS,),
    }
    for name, weight in _adapted(unet):
        size = tuple(weight.shape)
        shapes[name + DOWN] = (rank, *size[1:])
        shapes[name + UP] = (size[0], rank, *(1 for _ in size[2:]))
    return shapes


def merge(unet: Any, file: Path) -> None:
    """Add a file's weights to a UNet of diffusers, in float32, and give it the fifth output channel.

    Raises ValueError, naming tensors, unless the file holds just those of `layout`; OSError if it cannot be read.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as tensors, torch.no_grad():
            there = {plain(name): name for name in tensors.keys()}  # noqa: SIM118
            shapes = {name: tuple(tensors.get_slice(own).get_shape()) for name, own in there.items()}
            _refuse_others(file, unet, shapes)
            for name, weight in _adapted(unet):
                down, up = (tensors.get_tensor(there[name + half]).to(weight.device).float() for half in (DOWN, UP))
                weight.copy_(weight.float() + (up.flatten(1) @ down.flatten(1)).reshape(weight.shape))
            _widen(unet, *(tensors.get_tensor(there[f"conv_out.{part}"]) for part in ("weight", "bias")))
    except SafetensorError as error:
        raise ValueError(f"{file} is not a whole .safetensors file ({error}); fetch it again") from error


def _adapted(unet: Any) -> Iterator[tuple[str, Any]]:
    """The layers that have a LoRA, each with its weight."""
    yield from ((name, layer.weight) for name, layer in unet.named_modules() if LAYERS.search(name))


def _refuse_others(file: Path, unet: Any, shapes: dict[str, tuple[int, ...]]) -> None:
    rank = next((shape[0] for name, shape in shapes.items() if name.endswith(DOWN)), 0)
    wanted = layout(unet, rank)
    other = {name for name in wanted.keys() & shapes.keys() if wanted[name] != shapes[name]}
    missing = wanted.keys() - shapes.keys()
    refuse_others(str(file), unet, missing | other, shapes.keys() - wanted.keys(), other)


def _widen(unet: Any, weight: torch.Tensor, bias: torch.Tensor) -> None:
    import torch

    last = unet.conv_out
    wide = torch.nn.Conv2d(last.in_channels, OUTPUTS, last.kernel_size, last.stride, last.padding)
    wide.load_state_dict({"weight": weight, "bias": bias})
    unet.conv_out = wide.to(last.weight.device, last.weight.dtype)
    unet.register_to_config(out_channels=OUTPUTS)
