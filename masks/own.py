"""A custom segmenter: a function `(images, prompts) -> list[Found]` in any module, named `module:function`."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from masks.prompts import Found, Instance, Prompt, TextPrompt, nothing
from masks.selection import distinct

NAME = re.compile(r"([^\W\d]\w*\.)*[^\W\d]\w*:[^\W\d]\w*")
PLAIN = "a mask is an array of H×W bool, True where the thing is"


def load(name: str, threshold: float | None) -> OwnSegmenter:
    """The function that `module:function` names, as a segmenter. A module may also lie in the current folder.

    This runs code. `threshold` (0..1) is passed to the function in text prompts without their own. Raises ValueError,
    naming it, for a module that cannot be imported and for a missing function.
    """
    module, _, function = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # last, so that a file there does not shadow an installed module
    try:
        found = getattr(importlib.import_module(module), function, None)
    except (Exception, SystemExit) as error:
        raise ValueError(f"the segmenter {name} cannot be imported: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise ValueError(f"the segmenter {name} cannot be used: {module} has no function {function!r}")
    return OwnSegmenter(name, found, threshold)


class OwnSegmenter:
    """Calls a custom function, protects the pictures from it, and checks what it returns."""

    def __init__(self, name: str, function: Callable[[list[np.ndarray], list[Prompt]], Any], threshold: float | None):
        self.name, self.function, self.threshold = name, function, threshold

    def __call__(self, images: list[np.ndarray], prompts: list[Prompt]) -> list[Found]:
        """images: H×W×3 uint8 RGB, read-only for the function; one prompt each.

        Raises ValueError, naming the function, for any error in it and for an invalid answer.
        """
        shown = {id(image): _read_only(image) for image in images}
        try:
            answer = self.function([shown[id(image)] for image in images], [self._told(one) for one in prompts])
        except (Exception, SystemExit) as error:
            if str(error).startswith("CUDA error"):  # the device is lost, which is not one picture's fault
                raise
            raise ValueError(f"the segmenter {self.name} failed: {type(error).__name__}: {error}") from error
        if not isinstance(answer, (list, tuple)) or len(answer) != len(images):
            given = f"{len(answer)} finds" if isinstance(answer, (list, tuple)) else f"a {type(answer).__name__}"
            several = f"{len(images)} picture{'s' * (len(images) > 1)}"
            raise self._wrong(f"{given} for {several}; it returns a list with one masks.Found for each")
        return [self._checked(image, found) for image, found in zip(images, answer, strict=True)]

    def _told(self, prompt: Prompt) -> Prompt:
        if isinstance(prompt, TextPrompt) and prompt.threshold is None:
            return replace(prompt, threshold=self.threshold)
        return prompt

    def _checked(self, image: np.ndarray, found: Any) -> Found:
        if not isinstance(found, Found):
            raise self._wrong(f"a {type(found).__name__} for a picture; it returns a masks.Found for each")
        height, width = image.shape[:2]
        mask = found.mask
        if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != (height, width):
            shape = f"{mask.shape} {mask.dtype}" if isinstance(mask, np.ndarray) else f"a {type(mask).__name__}"
            raise self._wrong(f"a mask of {shape} for a picture of {(height, width)}; {PLAIN}")
        if not mask.any():
            return nothing(image)
        try:
            score = float(found.score)
        except (TypeError, ValueError) as error:
            raise self._wrong(f"the score {found.score!r}, which is not a number") from error
        if not 0 <= score <= 1:
            raise self._wrong(f"the score {score:g}; a score is 0 to 1")
        if not all(_fits(one, mask) for one in found.instances):
            raise self._wrong(
                "instances that are none of its mask; Instance.of makes one of a mask of the picture's size"
            )
        instances = tuple(distinct(found))
        return Found(mask.copy(), score, tuple(one.box for one in instances), instances)

    def _wrong(self, what: str) -> ValueError:
        return ValueError(f"the segmenter {self.name} returned {what}")


def _read_only(image: np.ndarray) -> np.ndarray:
    view = image.view()
    view.flags.writeable = False
    return view


def _fits(one: Any, whole: np.ndarray) -> bool:
    """True if an instance fits a mask: bool, inside the picture, and nowhere outside the mask."""
    if not isinstance(one, Instance) or not isinstance(one.mask, np.ndarray) or one.mask.dtype != bool:
        return False
    if one.mask.ndim != 2 or one.left < 0 or one.top < 0:
        return False
    part = whole[one.place]
    return part.shape == one.mask.shape and bool(one.mask.any()) and not bool((one.mask & ~part).any())
