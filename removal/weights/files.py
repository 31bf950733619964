"""Picks the files needed from a repository: one set of weights per network, never in a format that can hold code."""

from __future__ import annotations

import re


def one_set(names: list[str], stem: str, variant: str | None = None) -> list[str]:
    """One set of weights: a file, or shards and their index.

    Raises ValueError if there is none. Half-precision weights (`fp16`) if `variant` asks for them or there are no
    others.
    """
    kind = re.compile(re.escape(stem) + r"(\.fp16)?(-\d+-of-\d+)?(\.fp16)?\.safetensors(\.index)?(\.fp16)?(\.json)?")
    found = [name for name in names if kind.fullmatch(name)]
    half = [name for name in found if ".fp16" in name]
    plain = [name for name in found if name not in half]
    chosen = (half or plain) if variant == "fp16" else (plain or half)
    if not any(name.endswith(".safetensors") for name in chosen):
        raise ValueError(f"has no {stem}.safetensors; other formats can run code when they are opened, and are not")
    return chosen


def of_transformers(names: list[str]) -> list[str]:
    """One set of weights of a transformers repo, with its configs and vocabularies. Raises ValueError as above."""
    texts = [name for name in names if "/" not in name and name.endswith((".json", ".txt", ".model", ".jinja"))]
    return [name for name in texts if ".index." not in name] + one_set(names, "model")
