"""Networks are loaded completely or not at all: the libraries draw missing tensors at random and drop unknown ones."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from removal.weights.loading import pretrained

SHOWN = 4  # names of tensors in a message
# Tensors that earlier releases of the libraries saved, and that nothing is computed from.
BUFFER = re.compile(r"(^|\.)(position_ids|num_batches_tracked|relative_position_index)$")


def strict(kind: Any, folder: Path, said: str, **options: Any) -> Any:
    """A network of a diffusers or transformers class from a folder's safetensors; `said` names it in messages.

    Raises ValueError, naming tensors, when the weights lack some of the network's, hold others, or have them in
    another size; OSError when they cannot be read.
    """
    options |= {"use_safetensors": True, "output_loading_info": True, "ignore_mismatched_sizes": True}
    network, report = pretrained(kind, folder, **options)
    mismatched = {str(entry[0]) for entry in report["mismatched_keys"]}
    refuse_others(said, network, report["missing_keys"], report["unexpected_keys"], mismatched)
    return network


def refuse_others(
    said: str, network: Any, missing: Iterable[str], unexpected: Iterable[str], mismatched: Iterable[str] = ()
) -> None:
    """Raises ValueError unless the weights called `said` were the network's own, by the names of its tensors."""
    for fault, names in (
        ("lack", set(missing) - set(mismatched)),
        ("have in another size", set(mismatched)),
        ("hold besides", {name for name in unexpected if not BUFFER.search(name)}),
    ):
        if names:
            raise ValueError(
                f"{said} holds the weights of another network than {type(network).__name__}: they {fault} "
                f"{some(names)}; choose weights made for it, or fetch them again"
            )


def some(names: Iterable[str]) -> str:
    """The first names of tensors in order, and how many more there are."""
    listed = sorted(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return f"{', '.join(listed[:SHOWN])}{more}"
