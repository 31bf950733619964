"""Reads a checkpoint's folder in the layout of diffusers: configs, weight files, names and licences; loads no model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from removal.checkpoints.presets import KNOWN
from removal.weights.files import one_set
from removal.weights.hub import CARD

WEIGHTS = "diffusion_pytorch_model"
NETWORKS = {"unet": WEIGHTS, "vae": WEIGHTS, "text_encoder": "model", "text_encoder_2": "model"}  # and their files


def needed(names: list[str], variant: str | None = None, of: Iterable[str] = tuple(NETWORKS)) -> list[str]:
    """The files of a checkpoint that a removal loads: configs, vocabularies, one set of weights a network.

    Half-precision weights (`fp16`) if `variant` asks for them or there are no others. `of` names the networks whose
    weights are needed, all by default. Raises ValueError for a network without `.safetensors`.
    """
    second = ("text_encoder_2", "tokenizer_2") if any(name.startswith("text_encoder_2/") for name in names) else ()
    wanted = [name for name in ("model_index.json", CARD) if name in names]
    for part in ("unet", "vae", "text_encoder", "tokenizer", "scheduler", *second):
        inside = [name for name in names if name.startswith(f"{part}/") and name.count("/") == 1]
        wanted += [name for name in inside if name.endswith((".json", ".txt")) and ".index." not in name]
        if part in of:
            wanted += one_set(inside, f"{part}/{NETWORKS[part]}", variant)
    return wanted


def network_needed(names: list[str]) -> list[str]:
    """The same for a repo or folder with a single network of diffusers, such as a ControlNet."""
    return ["config.json", *one_set(names, WEIGHTS)]


def network_variant(folder: Path) -> str | None:
    """The variant to load it as: `fp16` if there is nothing else."""
    weights = [name for name in network_needed([file.name for file in folder.iterdir()]) if name != "config.json"]
    return "fp16" if all(".fp16" in name for name in weights) else None


def variant_of(folder: Path, asked: str | None) -> str | None:
    """The variant to load a folder as: `fp16` where that was asked for and is there, or a network has nothing else."""
    for part, stem in NETWORKS.items():
        names = [file.name for file in (folder / part).glob("*.safetensors*")]
        if names and any(".fp16" in name for name in one_set(names, stem, asked)):
            return "fp16"
    return None


def name_of(folder: Path) -> str:
    """The hub id of a snapshot in the hub's cache, else the path."""
    kind, _, repo = folder.parent.parent.name.partition("--")
    return repo.replace("--", "/") if (kind, folder.parent.name) == ("models", "snapshots") else str(folder)


def license_of(folder: Path) -> str | None:
    if (known := KNOWN.get(name_of(folder))) is not None:
        return known.license
    card = folder / CARD
    return license_in(card.read_text(errors="replace")) if card.is_file() else None


def license_in(card: str) -> str | None:
    """The licence in the front matter of a model card: its `license_name` if it has one, else its `license`."""
    head = re.match(r"---\n((?:(?!---).*\n)*)", card)
    said = dict(re.findall(r"(?m)^(license|license_name): *[\"']?([^\s\"']+)", head[1] if head else ""))
    return said.get("license_name") or said.get("license")


def sha256(file: Path) -> str:
    """The SHA-256 of a file, which the hub's cache already has in the name of every large file."""
    kept = file.resolve()
    if kept.parent.name == "blobs" and re.fullmatch("[0-9a-f]{64}", kept.name):
        return kept.name
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
