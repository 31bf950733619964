"""The table of segmenters, and checks of prompts before anything is loaded."""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass
from difflib import get_close_matches

from masks import own
from masks.bundled import BUNDLED
from masks.prompts import BoxPrompt, PointPrompt, Prompt, Segmenter, TextPrompt
from masks.rf_detr import class_of
from removal.weights.devices import devices
from removal.weights.loading import loading
from removal.weights.tensor_cores import on_tensor_cores


@dataclass(frozen=True)
class Row:
    """A segmenter of the table: the prompts it takes, its usual threshold 0..1, its weights and their licence.

    `detector` holds the weights of the network that finds boxes for a text, if that is separate. `sees` is True if it
    can tell that a thing is absent; any other is not asked about results.
    """

    takes: tuple[type, ...]
    threshold: float
    weights: str
    license: str
    about: str
    detector: str = ""
    sees: bool = True


TEXT, SHAPES = (TextPrompt,), (PointPrompt, BoxPrompt)
ALL = (*TEXT, *SHAPES)
FREE = "apache-2.0"  # of every published segmenter here
DINO = "IDEA-Research/grounding-dino-tiny"
# LLMDet builds on MM-Grounding-DINO, whose authors put it 11.8 AP above Grounding DINO on LVIS val (31.9, transformers'
# docs). `grounded-sam` keeps the detector it is named for; `llmdet-sam` is the same pair with the better one.
LLMDET = "iSEE-Laboratory/llmdet_tiny"
SAM3 = "facebook/sam3"
# As its model card names it, with RfDetrForInstanceSegmentation; 35.7 million parameters, AP 45.3 on COCO (roboflow).
RF_DETR = "Roboflow/rf-detr-seg-medium"
SAM2 = "facebook/sam2.1-hiera-base-plus"
SEGMENTERS = {
    "bundled": Row(ALL, 0.5, "", FREE, "ships inside the package; knows only the sample scenes"),
    "clipseg": Row(TEXT, 0.4, "CIDAS/clipseg-rd64-refined", FREE, "CLIPSeg's heat map: coarse and quick"),
    "grounded-sam": Row(ALL, 0.3, "vit_b", FREE, "boxes for a text by Grounding DINO, masks by SAM", DINO),
    "grounded-sam2": Row(ALL, 0.3, SAM2, FREE, "boxes for a text by Grounding DINO, masks by SAM 2.1", DINO),
    "llmdet-sam": Row(ALL, 0.3, "vit_b", FREE, "boxes for a text by LLMDet, masks by SAM", LLMDET),
    "owlv2-sam": Row(
        ALL, 0.2, "vit_b", FREE, "boxes for a text by OWLv2, masks by SAM", "google/owlv2-base-patch16-ensemble"
    ),
    "rf-detr": Row(TEXT, 0.5, RF_DETR, FREE, "the 80 classes of COCO (person, car, dog …) with masks; quick"),
    "sam": Row(SHAPES, 0.0, "vit_b", FREE, "Segment Anything: vit_b, vit_l, vit_h or a .pth file"),
    "sam2": Row(SHAPES, 0.0, SAM2, FREE, "Segment Anything 2.1"),
    "sam3": Row(ALL, 0.3, SAM3, "SAM License", "Segment Anything 3; the hub asks for consent and may refuse"),
    "grabcut": Row(SHAPES, 0.0, "", FREE, "GrabCut, by colour alone: look at its masks", sees=False),
}
OWN = Row(ALL, 0.0, "", "", "a function of one's own")
SIZES = {  # bytes of published weights, known before they are fetched
    "vit_b": 375_042_383,
    "vit_l": 1_249_524_607,
    "vit_h": 2_564_550_879,
    DINO: 690_000_000,
    LLMDET: 690_000_000,
    SAM2: 324_000_000,
    SAM3: 3_440_000_000,
    RF_DETR: 143_000_000,
    "google/owlv2-base-patch16-ensemble": 620_000_000,
    "CIDAS/clipseg-rd64-refined": 603_000_000,
}


def load_segmenter(
    name: str, device: str = "auto", threshold: float | None = None, offline: bool = False, dtype: str = "auto"
) -> Segmenter:
    """The segmenter called `name`, or with weights of one's own as `split_name` says; loaded once per process.

    `dtype` is the precision of the encoders of SAM and SAM 2.1, where their time goes; "auto" is bfloat16 on a GPU that
    has it, else float32; everything else uses a GPU's tensor cores. A `module:function` is imported and run. Raises
    ValueError for an unknown name or a failed import, FileNotFoundError or OSError for unavailable weights.
    """
    if is_code(name):
        try:
            return own.load(name, threshold)
        except ValueError as error:
            missing = isinstance(error.__cause__, ImportError)  # else the module is there, and no row was meant
            raise ValueError(f"{error}{nearest(name) if missing else ''}") from error
    row, weights, detector = split_name(name)
    level = row.threshold if threshold is None else threshold
    with loading():
        return _load(name.split(":")[0], weights, detector, devices(device)[0], level, offline, dtype)


def split_name(name: str) -> tuple[Row, str, str]:
    """A segmenter's row, weights and detector's weights ("" where it has none) from `NAME` or `NAME:WEIGHTS`.

    With a detector for text, also `NAME:WEIGHTS+DETECTOR` or `NAME:+DETECTOR`. Weights are what the row's are: a hub id
    (`ID@REVISION` to pin it), a folder in the hub's layout, or for SAM a size or a .pth file. Raises ValueError with
    the names there are.
    """
    if is_code(name):
        return OWN, "", ""
    kind, _, given = name.partition(":")
    if kind not in SEGMENTERS:
        raise ValueError(f"unknown segmenter {kind!r}; there are {', '.join(SEGMENTERS)}{nearest(name)}")
    row = SEGMENTERS[kind]
    detector = ""
    if row.detector and not os.path.exists(given):  # a path may have a + in its name
        given, _, detector = given.partition("+")
    return row, given or row.weights, detector or row.detector


def is_code(name: str) -> bool:
    """True if a name is `module:function`, a custom segmenter, rather than a row of the table."""
    return bool(own.NAME.fullmatch(name)) and name.partition(":")[0] not in SEGMENTERS


def nearest(name: str) -> str:
    """A suggestion for an unknown name; empty if no row is near."""
    near = get_close_matches(name.partition(":")[0], SEGMENTERS, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def objection(name: str, prompt: Prompt) -> str | None:
    """The reason why a segmenter cannot take a prompt, or None if it can. Loads nothing."""
    row, weights, _ = split_name(name)
    if not isinstance(prompt, row.takes):
        kind = {TextPrompt: "text", PointPrompt: "points", BoxPrompt: "boxes"}[type(prompt)]
        able = [other for other, r in SEGMENTERS.items() if isinstance(prompt, r.takes)]
        reason = f"the segmenter {name!r} takes no {kind}; {', '.join(able)} do"
        return reason if row.weights else f"{reason}, since {kind} needs a model; without one give points or boxes"
    if weights == RF_DETR and isinstance(prompt, TextPrompt):
        try:
            class_of(prompt.text)
        except ValueError as error:
            return str(error)
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
def _load(
    kind: str, weights: str, detector: str, device: str, threshold: float, offline: bool, dtype: str
) -> Segmenter:
    from masks import loading

    segmenter = loading.LOADERS[kind](loading.Setup(weights, detector, device, threshold, offline, dtype))
    # Detectors and SAM's decoder stay in float32, and are then as exact as the parts in bfloat16.
    return on_tensor_cores(segmenter) if dtype == "auto" and device.startswith("cuda") else segmenter
