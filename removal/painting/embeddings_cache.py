"""A prompt's embeddings on disk: with them a checkpoint is loaded without its text encoders.

The encoders have 0.1 to 0.8 billion parameters, and give the same embeddings for the same prompt every time. A file is
named by the hash of everything that influences it: tokenizers, text encoders, LoRAs, prompt, precision. An unreadable
file is computed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from removal.checkpoints.diffusers_folder import sha256
from removal.weights.cache import appearing_whole, cache_folder

if TYPE_CHECKING:
    import torch

VERSION = 1  # of what is kept
SAYING = ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")  # the folders that influence the embeddings
IN_ONE_FILE = ("cond_stage_model.", "conditioner.embedders.")  # how its tensors' names begin in the original layout
NAMES = {"prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds"}


def file_for(folder: Path, single: Path | None, **more: Any) -> Path:
    """The cache file for a diffusers folder, or for a single file with the folder of its configs.

    `more` holds everything else that influences the embeddings, as JSON values.
    """
    files = [file for part in SAYING for file in sorted((folder / part).glob("*")) if file.is_file()]
    said = {file.relative_to(folder).as_posix(): sha256(file) for file in files}
    index = folder / "model_index.json"  # has SDXL's setting for an empty prompt
    recipe = [VERSION, said, sha256(index) if index.is_file() else None, _in(single) if single else None, more]
    name = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
    return cache_folder("prompt_embeddings") / f"{name}.safetensors"


def read(file: Path, device: torch.device) -> dict[str, torch.Tensor] | None:
    """The embeddings by their pipeline arguments; None without a readable file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        embeddings = load_file(file)
    except (OSError, SafetensorError):
        return None
    whole = (
        "prompt_embeds" in embeddings
        and embeddings.keys() <= NAMES
        and all(w.isfinite().all() for w in embeddings.values())
    )
    return {name: tensor.to(device) for name, tensor in embeddings.items()} if whole else None


def write(file: Path, embeddings: dict[str, torch.Tensor]) -> None:
    """Store them. If the cache cannot be written, they are computed again next time."""
    from safetensors.torch import save_file

    with contextlib.suppress(OSError), appearing_whole(file) as part:
        save_file({name: tensor.cpu().contiguous() for name, tensor in embeddings.items()}, part)


def _in(single: Path) -> str:
    """The hash of only the text encoders of a single file, which is many times larger."""
    import torch
    from safetensors import safe_open

    found = hashlib.sha256()
    with safe_open(single, framework="pt") as tensors:
        for name in sorted(name for name in tensors.keys() if name.startswith(IN_ONE_FILE)):  # noqa: SIM118
            tensor = tensors.get_tensor(name)
            found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            found.update(tensor.contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest()
