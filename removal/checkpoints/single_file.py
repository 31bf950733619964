"""A single `.safetensors` file in the original Stable Diffusion layout: weights alone, and not always all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from removal.weights.loading import loading

SHOWN = 4  # names of missing tensors


def from_single_file(kind: Any, file: Path, configs: Path, given: dict[str, Any]) -> Any:
    """A pipeline of a `kind` from a file, with the configs and tokenizer of a diffusers folder that it descends from.

    diffusers' own table of these names withdrawn repos, and a tensor that it does not find it leaves as it was drawn,
    without a word. Raises ValueError for a file that lacks weights, or that is of another kind than the configs.
    """
    from diffusers.loaders.single_file_utils import SingleFileComponentError

    with loading(), _noting_missing() as missing:
        try:
            dtypes = {"unet": given["dtype"], "vae": torch.float32}
            networks = {name: _network(name, file, configs, dtype) for name, dtype in dtypes.items()}
            pipeline = kind.from_single_file(
                str(file), config=str(configs), local_files_only=True, **(networks | given)
            )
        except SingleFileComponentError as error:  # a bare Exception that advises the programmer after its first line
            raise ValueError(f"{file} holds not all the weights: {str(error).splitlines()[0]}") from error
        except RuntimeError as error:
            if "size mismatch" not in str(error):
                raise
            raise ValueError(
                f"{file} is no checkpoint of the kind that its first tensors say ({str(error).splitlines()[1].strip()})"
            ) from error
    for name, network in pipeline.components.items():
        if isinstance(network, torch.nn.Module) and (lacks := missing.get(id(network), []) or _unfilled(network)):
            more = f" and {len(lacks) - SHOWN} more" if len(lacks) > SHOWN else ""
            raise ValueError(
                f"{file} holds not all the weights: its {name} lacks {', '.join(lacks[:SHOWN])}{more}; fetch it again, "
                "or take a file that has them all"
            )
    return pipeline


def _network(name: str, file: Path, configs: Path, dtype: torch.dtype) -> torch.nn.Module:
    """One network of the file, without accelerate, by which a pipeline loads its own and crashes where weights lack."""
    import diffusers

    kind = getattr(diffusers, {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL"}[name])
    place = {"config": str(configs), "subfolder": name, "local_files_only": True}
    return kind.from_single_file(str(file), **place, dtype=dtype, low_cpu_mem_usage=False)


@contextlib.contextmanager
def _noting_missing() -> Iterator[dict[int, list[str]]]:
    """Within it, by a network's `id` the names of the weights that it was not given: diffusers throws the list away."""
    missing: dict[int, list[str]] = {}
    inner = torch.nn.Module.load_state_dict

    def noted(network: torch.nn.Module, *given: Any, **named: Any) -> Any:
        answer = inner(network, *given, **named)
        missing[id(network)] = list(answer.missing_keys)
        return answer

    torch.nn.Module.load_state_dict = noted
    try:
        yield missing
    finally:
        torch.nn.Module.load_state_dict = inner


def _unfilled(network: torch.nn.Module) -> list[str]:
    """Names of a text encoder's weights that the file lacks: accelerate leaves them without any memory."""
    return [name for name, weight in network.named_parameters() if weight.is_meta]
