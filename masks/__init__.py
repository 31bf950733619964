"""Finds the pixels to remove: prompts in, boolean masks out. Knows nothing of files, Prefect or removal."""

from masks.morphology import dilate, dilation_radius, fill_holes, hull
from masks.prompts import BoxPrompt, Found, PointPrompt, Prompt, Segmenter, TextPrompt
from masks.segmenters import SEGMENTERS, load_segmenter
from masks.shadows import shadow_of

__all__ = [
    "SEGMENTERS",
    "BoxPrompt",
    "Found",
    "PointPrompt",
    "Prompt",
    "Segmenter",
    "TextPrompt",
    "dilate",
    "dilation_radius",
    "fill_holes",
    "hull",
    "load_segmenter",
    "shadow_of",
]
