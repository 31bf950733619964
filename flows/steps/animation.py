"""The denoising of a picture as an animation: the marked object, the picture after every step, and the result."""

from __future__ import annotations

import warnings

import cv2
import numpy as np

from flows.errors import EnvironmentFault, raise_if_environment
from flows.formats.drawings import encode_gif
from flows.formats.encoding import as_kept
from flows.places.layout import files_of
from flows.places.target import Target
from flows.steps.attempts import Attempt

LONGEST = 512  # pixels of a frame's longest side
MARKED, STEP, RESULT = 800, 100, 1500  # milliseconds that a frame is shown
COLOUR = np.array([230, 0, 90])  # of what is to go, mixed half and half


def animate(target: Target, kept: Attempt) -> None:
    """Write process/NAME.gif: the denoising steps of a published attempt.

    Takes another pass of the model. A failure here is a warning, since the picture itself is finished. Raises
    EnvironmentFault when the machine is at fault.
    """
    name, picture, mask = kept.masked.outcome.source, kept.masked.picture, kept.masked.mask
    try:
        process = kept.rung.remover.process(picture.image, mask, kept.seed, kept.masked.protected)
        steps = [shrunk(as_kept(picture, step)) for step in process][:-1]  # the last is the result
        frames = [shrunk(marked(picture.image, mask)), *steps, shrunk(np.asarray(kept.result))]
        target.write(files_of(name).process, encode_gif(frames, [MARKED, *[STEP] * len(steps), RESULT]))
    except EnvironmentFault:
        raise
    except Exception as error:
        raise_if_environment(error)
        warnings.warn(f"{name} is finished, but its process could not be drawn: {error}", stacklevel=2)


def marked(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """`image` (H×W×3 uint8) tinted where `mask` (H×W bool) is."""
    return np.where(mask[..., None], (image + COLOUR) // 2, image).astype(np.uint8)


def shrunk(image: np.ndarray) -> np.ndarray:
    """`image` (H×W×3 uint8) with its longest side at most LONGEST."""
    height, width = image.shape[:2]
    scale = LONGEST / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
