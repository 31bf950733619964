"""LoRAs: small differences that are added to a checkpoint's weights once, after loading; they cost nothing later.

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models": W + weight · alpha/rank · up·down. diffusers reads
the formats; its own way of adding them would need peft and accelerate for this one sum.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from removal.checkpoints.diffusers_folder import sha256
from removal.weights import hub

if TYPE_CHECKING:
    import torch

LCM_STEPS = 8  # at most; 4 to 8 are usual (Luo et al. 2023, "LCM-LoRA")
LCM = re.compile(r"(?i)(?<![a-z])lcm(?![a-z])")
DOWN = re.compile(r"\.(lora\.down|lora_A|lora_linear_layer\.down)\.weight$")
UP = {"lora.down": "lora.up", "lora_A": "lora_B", "lora_linear_layer.down": "lora_linear_layer.up"}
TEXT_NAMES = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out.0": "out_proj"}


@dataclass(frozen=True)
class Lora:
    """A LoRA's file on this machine, and its weight."""

    file: Path
    weight: float

    @property
    def key(self) -> tuple[str, float]:
        return sha256(self.file), self.weight


def parse_lora(asked: str) -> tuple[str, float]:
    """(PATH, FOLDER, HUB_ID or HUB_ID/FILE; weight) of a `--lora`; 1 where there is no `:WEIGHT`."""
    found = re.fullmatch(r"(.+?)(?::(-?\d+(?:\.\d+)?))?", asked)
    if found is None:
        raise ValueError("a LoRA is a .safetensors file, a folder or a hub id, with :WEIGHT or without")
    return found[1], float(found[2] or 1)


def is_lcm(asked: str) -> bool:
    """True if a LoRA makes a latent consistency model. Only the names of such files tell."""
    return any(LCM.search(part) for part in parse_lora(asked)[0].split("/")[-2:])


def find(asked: str, offline: bool = False) -> Lora:
    """The file of PATH, FOLDER, HUB_ID or HUB_ID/FILE, each with `:WEIGHT` or without. Raises ValueError, OSError."""
    place, weight = parse_lora(asked)
    path = Path(os.path.expanduser(place))
    if path.is_file():
        return Lora(path, weight)
    if path.is_dir():
        names = sorted(file.name for file in path.glob("*.safetensors"))
        return Lora(path / _only(place, names), weight)
    repo, name = "/".join(place.split("/")[:2]), "/".join(place.split("/")[2:])
    if path.is_absolute() or place.startswith(".") or place.count("/") < 1:
        raise ValueError(f"there is no LoRA at {place}; give a .safetensors file, a folder with one, or a hub id")

    def chosen(names: list[str]) -> list[str]:
        return [_only(repo, [one for one in names if one.endswith(".safetensors") and one == (name or one)])]

    folder = hub.snapshot(repo, chosen, offline=offline)
    (file,) = chosen([one.relative_to(folder).as_posix() for one in folder.rglob("*.safetensors")])
    return Lora(folder / file, weight)


def fuse(pipeline: Any, loras: list[Lora]) -> None:
    """Add LoRAs to a pipeline's networks, in float32. Text encoders that are not loaded are left out.

    Raises ValueError for a LoRA of another kind of checkpoint, or of a kind of its own such as DoRA or LoKr.
    """
    import torch

    for lora in loras:
        state, alphas = _read(pipeline, lora.file)
        with torch.no_grad():
            for down in [name for name in state if DOWN.search(name)]:
                _add(pipeline, lora, down, state, alphas)
        if state:
            raise ValueError(
                f"{lora.file.name} is not a plain LoRA: it has {next(iter(state))}, which is not supported"
            )


def _only(place: str, names: list[str]) -> str:
    usual = [name for name in names if name == "pytorch_lora_weights.safetensors"]
    if len(usual or names) != 1:
        raise ValueError(f"has {len(names)} files that may be meant; name one: {place}/{names[0] if names else 'FILE'}")
    return (usual or names)[0]


def _read(pipeline: Any, file: Path) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """The LoRA's tensors and alphas by the names of the modules here."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        given = load_file(file)
        state, alphas = pipeline.lora_state_dict(given, unet_config=pipeline.unet.config)[:2]
    except (SafetensorError, ValueError, KeyError, IndexError) as error:
        raise ValueError(f"{file} cannot be read as a LoRA: {' '.join(str(error).split())}") from error
    if not any("lora" in name for name in state):
        raise ValueError(f"{file} is not a LoRA: none of its tensors has such a name")
    named = {_named(name.removesuffix(".alpha")): alpha for name, alpha in (alphas or {}).items()}
    found = {_named(name): tensor for name, tensor in state.items()}
    return found, {re.sub(DOWN, "", name): float(alpha) for name, alpha in named.items()}


def _named(name: str) -> str:
    """The present names of modules: converted files still have those of old attention processors."""
    name = re.sub(r"\.(?:processor\.)?(to_[qkv]|to_out)_lora\.", r".\1.lora.", name)
    name = re.sub(r"\.to_out\.lora\.", ".to_out.0.lora.", name)
    if name.startswith("text_encoder"):
        name = re.sub(r"\.(to_[qkv]|to_out\.0)\.", lambda found: f".{TEXT_NAMES[found[1]]}.", name)
    return name


def _add(pipeline: Any, lora: Lora, name: str, state: dict[str, torch.Tensor], alphas: dict[str, float]) -> None:
    import torch.nn.functional as F

    kind = DOWN.search(name)
    assert kind is not None
    place = name[: kind.start()]
    down = state.pop(name).float()
    up = state.pop(f"{place}.{UP[kind[1]]}.weight", None)
    if up is None:
        raise ValueError(f"{lora.file.name} lacks {place}.{UP[kind[1]]}.weight, half of what it adds; fetch it again")
    part, _, inner = place.partition(".")
    if getattr(pipeline, part, None) is None and part.startswith("text_encoder"):
        return
    module = _module(getattr(pipeline, part, None), inner)
    if module is None:
        raise ValueError(f"{lora.file.name} does not fit: there is no {place} to add it to; is it of another family?")
    added = up.float().flatten(1) @ down.flatten(1) * (lora.weight * alphas.get(place, down.shape[0]) / down.shape[0])
    weight = module.weight
    kernel = down.shape[2:] if weight.dim() == 4 and down.dim() == 4 else weight.shape[2:]
    added = added.unflatten(1, (-1, *kernel)) if weight.dim() == 4 else added
    if inner == "conv_in" and added.shape[1] < weight.shape[1]:  # made for 4 channels, without the mask's
        added = F.pad(added, (0, 0, 0, 0, 0, weight.shape[1] - added.shape[1]))
    if added.shape != weight.shape:
        raise ValueError(
            f"{lora.file.name} does not fit: {place} is {tuple(weight.shape)} here and {tuple(added.shape)} there; it "
            "is of another family of checkpoints"
        )
    weight.copy_(weight.float() + added.to(weight.device))


def _module(network: Any, inner: str) -> Any:
    for name in (inner, inner.removeprefix("text_model.")):  # transformers had this wrapper around it until 5.6
        try:
            return network.get_submodule(name)
        except AttributeError:
            continue
    return None
