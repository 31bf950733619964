"""The segmenters that exist, by name, and how each is loaded."""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Protocol

import numpy as np

from masks.prompts import BoxPrompt, Found, PointPrompt, Prompt, TextPrompt

BUNDLED = Path(__file__).parent / "bundled"
GROUNDING_DINO = "IDEA-Research/grounding-dino-tiny"
CLIPSEG = "CIDAS/clipseg-rd64-refined"

_loading = threading.Lock()  # two from_pretrained at once leave weights on the meta device (diffusers #4296)


class Segmenter(Protocol):
    """Anything of this shape fits: one Found per image, for one prompt each."""

    def __call__(self, images: list[np.ndarray], prompts: list[Prompt]) -> list[Found]: ...


@dataclass(frozen=True)
class Row:
    """A segmenter of the table: what prompts it takes, its usual threshold 0..1, and what its weights may be."""

    takes: tuple[type, ...]
    threshold: float
    weights: str
    about: str


SHAPES = (PointPrompt, BoxPrompt)
SEGMENTERS = {
    "bundled": Row((TextPrompt, *SHAPES), 0.5, "", "ships inside the package; knows only the sample scenes"),
    "clipseg": Row((TextPrompt,), 0.4, CLIPSEG, "text, coarse and quick; weights: a hub id or folder"),
    "grounded-sam": Row((TextPrompt, *SHAPES), 0.3, "vit_b", "text by Grounding DINO, then SAM; weights: as sam"),
    "sam": Row(SHAPES, 0.0, "vit_b", "points and boxes; weights: vit_b, vit_l, vit_h or a .pth file"),
}


def load_segmenter(
    name: str, device: str = "auto", threshold: float | None = None, offline: bool = False, dino: str = GROUNDING_DINO
) -> Segmenter:
    """The segmenter called `name`, or `NAME:WEIGHTS` with weights of one's own; loaded once per process.

    Raises ValueError for an unknown name, FileNotFoundError or OSError for weights that cannot be had.
    """
    row, weights = split_name(name)
    level = row.threshold if threshold is None else threshold
    with _loading:
        return _load(name.split(":")[0], weights, _device(device), level, offline, dino)


def split_name(name: str) -> tuple[Row, str]:
    """A segmenter's row and weights from `NAME` or `NAME:WEIGHTS`. Raises ValueError with the names there are."""
    kind, _, weights = name.partition(":")
    if kind not in SEGMENTERS:
        near = get_close_matches(kind, SEGMENTERS, 1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown segmenter {kind!r}; there are {', '.join(SEGMENTERS)}{meant}")
    return SEGMENTERS[kind], weights or SEGMENTERS[kind].weights


def refuse(name: str, prompt: Prompt) -> str | None:
    """Why a segmenter cannot take a prompt, or None when it can. Loads nothing."""
    row, _ = split_name(name)
    if not isinstance(prompt, row.takes):
        kind = {TextPrompt: "text", PointPrompt: "points", BoxPrompt: "boxes"}[type(prompt)]
        able = [other for other, r in SEGMENTERS.items() if isinstance(prompt, r.takes)]
        return f"the segmenter {name!r} takes no {kind}; {', '.join(able)} do"
    if name.split(":")[0] == "bundled" and isinstance(prompt, TextPrompt):
        unknown = [word for word in re.findall(r"\w+|[^\w\s]", prompt.text.lower()) if word not in bundled_words()]
        if unknown:
            return (
                f"the bundled segmenter does not know the word {unknown[0]!r}: it knows only its sample scenes "
                f"(such as 'red ball'); for photos use --segmenter grounded-sam, or points"
            )
    return None


@functools.cache
def bundled_words() -> frozenset[str]:
    """Every word that the bundled text segmenter was trained on: colours and shapes."""
    return frozenset((BUNDLED / "words.txt").read_text().split())


@functools.lru_cache(maxsize=4)
def _load(kind: str, weights: str, device: str, threshold: float, offline: bool, dino: str) -> Segmenter:
    from masks import grounding, sam
    from masks.bundled import sums

    if kind == "bundled":
        sums.check()
    where = {"local_files_only": offline}
    loaders: dict[str, Callable[[], Segmenter]] = {
        "bundled": lambda: grounding.ByKind(
            grounding.ClipSegSegmenter(str(BUNDLED / "clipseg"), device, threshold, local_files_only=True),
            sam.load(str(BUNDLED / "sam"), device),
        ),
        "clipseg": lambda: grounding.ClipSegSegmenter(weights, device, threshold, **where),
        "grounded-sam": lambda: grounding.GroundedSamSegmenter(
            dino, sam.load(weights, device, offline), device, threshold, **where
        ),
        "sam": lambda: sam.load(weights, device, offline),
    }
    return loaders[kind]()


def _device(device: str) -> str:
    if device != "auto":
        return device
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
