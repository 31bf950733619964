"""Makes the missing inpainting checkpoint of a fine-tune: inpainting + (fine-tune - base), for the UNet alone.

"Add difference" in the checkpoint merger of AUTOMATIC1111's stable-diffusion-webui: what the fine-tune learned since
the base is added to what the base's inpainting child learned. The three are diffusers folders on this machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from removal.checkpoints.diffusers_folder import (
    UNET,
    WEIGHTS,
    license_of,
    name_of,
    part_files,
    parts,
    read_json,
    sha256,
    unet_files,
    unet_tensors,
)
from removal.checkpoints.mergeable import refuse

if TYPE_CHECKING:
    import torch

VERSION = 1  # of the recipe and of what is written; a new one makes every merge anew
FORMULA = (
    "unet = inpainting + (fine_tune - base), in float32, kept in the inpainting checkpoint's dtype; the difference of "
    "conv_in.weight padded with zeros from 4 to 9 input channels; everything else is the fine-tune's"
)


def merge(inpainting: Path, base: Path, fine_tune: Path, cache: Path) -> Path:
    """The diffusers folder of the fine-tune's inpainting checkpoint, made in `cache` unless it is there already.

    `inpainting` (9 input channels) and `fine_tune` (4) must both descend from `base` (4); no config says whether they
    do. The folder is named by the hashes of all that goes into it, appears whole or not at all, and says in
    provenance.json what it was made of. Takes the memory of one UNet. Raises ValueError for what cannot be merged
    (with what to do instead), FileNotFoundError for weights that are not there.
    """
    if reason := refuse(inpainting, base, fine_tune):
        raise ValueError(reason)
    parents = {"inpainting": inpainting, "base": base, "fine_tune": fine_tune}
    index = _index(fine_tune)
    files = {f"{part}/{name}": file for part in parts(fine_tune) for name, file in part_files(fine_tune / part).items()}
    files |= {UNET: inpainting / UNET}
    rows = {role: _row(folder) for role, folder in parents.items()}
    unets = [list(row["unet"].values()) for row in rows.values()]
    recipe = [VERSION, unets, index, {name: sha256(file) for name, file in files.items()}]  # a VAE may differ too
    merged = cache / hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
    if not merged.is_dir():
        with _whole(merged) as folder:
            for name, file in files.items():
                (folder / name).parent.mkdir(exist_ok=True)
                shutil.copyfile(file, folder / name)
            _save_unet(folder, inpainting, base, fine_tune)
            _write(folder / "model_index.json", index)
            _write(folder / "provenance.json", {"formula": FORMULA, "version": VERSION, "parents": rows})
    return merged


def _index(fine_tune: Path) -> dict[str, Any]:
    """The model_index.json of the merged checkpoint: the fine-tune's parts in an inpainting pipeline."""
    file = fine_tune / "model_index.json"
    given = read_json(file) if file.is_file() else {}
    for part in parts(fine_tune):
        if not given.get(part) or not (fine_tune / part).is_dir():
            missing = part if given else file.name
            raise ValueError(f"{name_of(fine_tune)} has no {missing}; give a whole diffusers folder")
    kept = ("_diffusers_version", "force_zeros_for_empty_prompt", "unet", *parts(fine_tune))
    index = {name: given[name] for name in kept if name in given}
    if "text_encoder_2" in index:
        return {"_class_name": "StableDiffusionXLInpaintPipeline"} | index
    left_out = {name: [None, None] for name in ("safety_checker", "feature_extractor", "image_encoder")}
    return {"_class_name": "StableDiffusionInpaintPipeline", "requires_safety_checker": False} | left_out | index


def _row(folder: Path) -> dict[str, Any]:
    """A parent's row in provenance.json."""
    if not unet_files(folder):
        raise FileNotFoundError(f"{name_of(folder)} has not all of its UNet's weights as .safetensors; fetch it whole")
    hashes = {file.name: sha256(file) for file in unet_files(folder)}
    return {"name": name_of(folder), "folder": str(folder), "license": license_of(folder), "unet": hashes}


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _save_unet(folder: Path, inpainting: Path, base: Path, fine_tune: Path) -> None:
    """Add tensor by tensor: besides the result, no more than one tensor of each parent is in memory."""
    from safetensors.torch import save_file

    with contextlib.ExitStack() as stack:
        parents = [unet_tensors(parent, stack) for parent in (inpainting, base, fine_tune)]
        merged = {name: _added(*(tensors[name].get_tensor(name) for tensors in parents)) for name in parents[0]}
    file = folder / "unet" / f"{WEIGHTS}.safetensors"
    save_file(merged, file, metadata={"format": "pt"})
    shutil.copymode(folder / UNET, file)  # safetensors lets nobody else read it, and a cache may be shared


def _added(inpainting: torch.Tensor, base: torch.Tensor, fine_tune: torch.Tensor) -> torch.Tensor:
    """The sum in float32: a difference taken in half precision would lose what the fine-tune learned."""
    import torch.nn.functional as F

    difference = fine_tune.float() - base.float()
    if difference.shape != inpainting.shape:  # conv_in: the mask and the masked image, which only `inpainting` knows
        difference = F.pad(difference, (0, 0, 0, 0, 0, inpainting.shape[1] - difference.shape[1]))
    return (inpainting.float() + difference).to(inpainting.dtype)


@contextlib.contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `target` if nothing goes wrong. Of two at once the first one counts."""
    folder = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}.partial")
    folder.mkdir(parents=True)
    try:
        yield folder
        for file in filter(Path.is_file, folder.rglob("*")):
            with file.open("rb+") as opened:
                os.fsync(opened.fileno())
        try:
            folder.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
