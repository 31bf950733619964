"""Loads each segmenter of the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from masks import sam, sam3
from masks.bundled import BUNDLED, sums
from masks.clipseg import ClipSegSegmenter
from masks.detectors import GroundingDino, Owlv2
from masks.grabcut import GrabCutSegmenter
from masks.grounding import ByKind, GroundedSegmenter
from masks.prompts import Segmenter
from masks.rf_detr import RfDetr
from masks.sam2 import Sam2Network
from masks.shapes import ShapeSegmenter
from removal.weights.devices import precision
from removal.weights.networks import Weights


@dataclass(frozen=True)
class Setup:
    """A segmenter's weights, device, precision and threshold (0..1)."""

    weights: str
    detector: str
    device: str
    threshold: float
    offline: bool
    dtype: str

    def encoder_dtype(self) -> Any:
        """The encoder's precision. In float16 SAM's would overflow."""
        return precision(self.dtype, self.device, "encoder")


def _sam(setup: Setup) -> Segmenter:
    return sam.load(setup.weights, setup.device, setup.offline, setup.encoder_dtype())


def _sam2(setup: Setup) -> Segmenter:
    weights = Weights.parse(setup.weights, setup.offline)
    return ShapeSegmenter(Sam2Network(weights, setup.device, setup.encoder_dtype()))


def _sam3(setup: Setup) -> Segmenter:
    return sam3.load(Weights.parse(setup.weights, setup.offline), setup.device, setup.threshold, setup.encoder_dtype())


def _clipseg(setup: Setup) -> Segmenter:
    return ClipSegSegmenter(Weights.parse(setup.weights, setup.offline), setup.device, setup.threshold)


def _bundled(setup: Setup) -> Segmenter:
    sums.check()
    text = ClipSegSegmenter(Weights(str(BUNDLED / "clipseg"), offline=True), setup.device, setup.threshold)
    return ByKind(text, sam.load(str(BUNDLED / "sam"), setup.device, dtype=setup.encoder_dtype()))


def _with(detector: Any, shapes: Callable[[Setup], Segmenter]) -> Callable[[Setup], Segmenter]:
    def load(setup: Setup) -> Segmenter:
        masks_for_boxes = shapes(setup)
        weights = Weights.parse(setup.detector, setup.offline)
        return GroundedSegmenter(detector(weights, setup.device, setup.threshold), masks_for_boxes)

    return load


LOADERS: dict[str, Callable[[Setup], Segmenter]] = {
    "bundled": _bundled,
    "clipseg": _clipseg,
    "grounded-sam": _with(GroundingDino, _sam),
    "grounded-sam2": _with(GroundingDino, _sam2),
    "llmdet-sam": _with(GroundingDino, _sam),
    "owlv2-sam": _with(Owlv2, _sam),
    "rf-detr": lambda setup: RfDetr(Weights.parse(setup.weights, setup.offline), setup.device, setup.threshold),
    "sam": _sam,
    "sam2": _sam2,
    "sam3": _sam3,
    "grabcut": lambda _: GrabCutSegmenter(),
}
