"""The settings that lie beside weights, as JSON."""

from __future__ import annotations

import json
from pathlib import Path


def read_config(file: Path) -> dict:
    """The settings of a network or processor, or the index of a model.

    Raises FileNotFoundError where there is no such file, ValueError for one that holds no settings; both name it.
    """
    if not file.is_file():
        raise FileNotFoundError(f"there is no {file}, which says what the weights beside it are; fetch the model again")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is not JSON ({error}); fetch the model again") from error
    if not isinstance(config, dict):
        raise ValueError(f"{file} holds no settings; fetch the model again")
    return config
