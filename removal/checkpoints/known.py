"""Looks up the facts about any model without loading it: a preset, a hub id, a folder or a file."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from removal.checkpoints import osor
from removal.checkpoints.presets import KNOWN, MOVED, PRESETS, SD15, Checkpoint
from removal.weights.configs import read_config

CONVERT = (  # the command that extracts the weights of a TorchScript file
    'python -c "import torch, safetensors.torch as s; s.save_file('
    "dict(torch.jit.load('{0}', map_location='cpu').state_dict()), '{1}')\""
)


def parent_repo(checkpoint: Checkpoint) -> str:
    """The living hub id of the family that a single file descends from, which has its configs and tokenizer."""
    parents = [row for row in KNOWN.values() if row.family == checkpoint.family and row.inpainting and not row.is_local]
    return PRESETS[str(parents[0].inpainting)].repo if checkpoint.in_channels == 9 else parents[0].repo


def look_up(model: str, revision: str | None = None, offline: bool = True) -> Checkpoint:
    """The facts about a model. A withdrawn hub id resolves to its replacement with a warning."""
    if model in PRESETS:
        return _at(PRESETS[model], revision)
    if model in MOVED:
        warnings.warn(f"{model} was withdrawn; the same weights are at {MOVED[model]}", stacklevel=3)
        model = MOVED[model]
    if model in KNOWN:
        return _at(KNOWN[model], revision)
    path = Path(os.path.expanduser(model))
    if path.is_dir():
        return _folder(path)
    if model.endswith(".safetensors"):
        return _file(path)
    if path.suffix in (".pth", ".ckpt", ".pt") and path.is_file():
        return _other_file(path)
    if path.is_absolute() or model.count("/") != 1 or model.startswith("."):
        near = get_close_matches(model, PRESETS, 1)
        raise ValueError(
            f"unknown model {model!r}; give a preset ({', '.join(PRESETS)}), a hub id such as {SD15}, "
            f"a diffusers folder, or a .safetensors file" + (f"; did you mean {near[0]!r}?" if near else "")
        )
    return _from_config(Checkpoint(model, revision=revision), _hub_config(model, revision, offline))


def _at(row: Checkpoint, revision: str | None) -> Checkpoint:
    """A row of the table, at another commit if one is given; its digest is then unknown."""
    return replace(row, revision=revision, sha256="") if revision and revision != row.revision else row


def _folder(path: Path) -> Checkpoint:
    config = path / "unet" / "config.json"
    if not config.exists():
        raise FileNotFoundError(f"{path} is not a diffusers checkpoint: it has no unet/config.json")
    return _from_config(Checkpoint(str(path)), read_config(config))


def _from_config(checkpoint: Checkpoint, unet: dict | None) -> Checkpoint:
    if unet is None:
        return checkpoint
    width, xl = unet.get("cross_attention_dim"), unet.get("addition_embed_type") == "text_time"
    family = "sdxl" if xl else "sd2" if width == 1024 else "sd15" if isinstance(width, int) else None
    widened = xl and unet.get("in_channels") == 9 and unet.get("out_channels") == osor.OUTPUTS
    method = "osor" if widened else ""
    return replace(checkpoint, family=family, in_channels=unet.get("in_channels"), method=method)


def _file(path: Path) -> Checkpoint:
    """A single file in the original Stable Diffusion layout, judged by the shapes in its header."""
    if not path.exists():
        raise FileNotFoundError(f"no checkpoint at {path}")
    from safetensors import SafetensorError, safe_open

    first, text = "model.diffusion_model.input_blocks.0.0.weight", "model.diffusion_model.input_blocks.1.1"
    try:
        with safe_open(path, framework="numpy") as tensors:
            names = set(tensors.keys())
            if names & LAMA_TENSORS:
                return Checkpoint(str(path), method="lama", resolution=512)
            if channels := osor.outputs(names, lambda name: tensors.get_slice(name).get_shape()):
                return _beside_sdxl(path, channels)
            if first not in names:
                raise ValueError(f"{path} holds no Stable Diffusion UNet in the original layout")
            in_channels = tensors.get_slice(first).get_shape()[1]
            attended = f"{text}.transformer_blocks.0.attn2.to_k.weight"
            width = tensors.get_slice(attended).get_shape()[1] if attended in names else None
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole .safetensors file ({error}); fetch it again") from error
    xl = any(name.startswith("conditioner.embedders.1") for name in names)
    family = "sdxl" if xl else "sd2" if width == 1024 else "sd15"
    return Checkpoint(str(path), family, in_channels)


def _beside_sdxl(path: Path, channels: int) -> Checkpoint:
    """A file of OSOR's kind, which is added to SDXL's checkpoint for inpainting."""
    if channels != osor.OUTPUTS:
        raise ValueError(
            f"{path} has {channels} output channels, no fifth that says where shadow and reflection were (so it is "
            "after phase I of OSOR's training); give the file of phase II, or --model osor"
        )
    return Checkpoint(str(path), "sdxl", 9, 512, method="osor", base="sdxl")


LAMA_TENSORS = {"model.model.1.bn_l.running_mean", "generator.model.1.bn_l.running_mean"}


def _other_file(path: Path) -> Checkpoint:
    """A file of torch: LaMa's weights are published as such. Its contents are checked when it is loaded."""
    if path.suffix == ".pt":
        command = CONVERT.format(path, path.with_suffix(".safetensors"))
        raise ValueError(
            f"{path} is TorchScript, which is code and may do anything; if you trust it, take its weights out with "
            f"`{command}`, and give --model {path.with_suffix('.safetensors')}"
        )
    return Checkpoint(str(path), method="lama", resolution=512)


def _hub_config(repo: str, revision: str | None, offline: bool) -> dict | None:
    """The UNet's config of a hub id, from the cache, or fetched (1 kB) unless `offline`."""
    from removal.weights import hub

    file = hub.one_file(repo, "unet/config.json", revision, offline)
    return read_config(file) if file else None
