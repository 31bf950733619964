"""Random holes for training: what an inpainting checkpoint is asked to fill, without any object to be redrawn."""

from __future__ import annotations

import cv2
import numpy as np

from removal.bundled.scenes import Scene, scene
from removal.bundled.things import SIZE, footprint, random_thing

KEPT = 0.5  # a hole hides at most this share of any object, or redrawing objects would be the right answer


def training_pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An image (a scene, or its clean plate every other time) and a hole in it, H×W bool."""
    random = np.random.default_rng((seed, 1))
    drawn = scene(seed)
    plain = random.random() < 0.5
    for _ in range(20):
        hole = _hole(random)
        if plain or not _hides_an_object(hole, drawn):
            return (drawn.plate if plain else drawn.image), hole
    return drawn.plate, hole


def _hides_an_object(hole: np.ndarray, drawn: Scene) -> bool:
    return any(int((visible & hole).sum()) > KEPT * max(int(visible.sum()), 1) for visible in drawn.objects)


def _hole(random: np.random.Generator) -> np.ndarray:
    kind = random.choice(("things", "boxes", "ellipses", "strokes", "everything"), p=(0.6, 0.12, 0.12, 0.12, 0.04))
    hole = np.zeros((SIZE, SIZE), np.uint8)
    if kind == "everything":
        return np.ones((SIZE, SIZE), bool)
    for _ in range(1 if kind == "things" and random.random() < 0.8 else int(random.integers(1, 4))):
        x, y = (int(v) for v in random.integers(8, SIZE - 8, 2))
        w, h = (int(v) for v in random.integers(8, 30, 2))
        if kind == "things":
            angle = random.uniform(0.2, 1.2)
            hole |= footprint(random_thing(random, (float(np.sin(angle)), float(np.cos(angle))))).astype(np.uint8)
        elif kind == "boxes":
            cv2.rectangle(hole, (x - w, y - h), (x + w, y + h), 1, -1)
        elif kind == "ellipses":
            cv2.ellipse(hole, (x, y), (w, h), float(random.uniform(0, 180)), 0, 360, 1, -1)
        else:
            path = np.cumsum(np.vstack([[x, y], random.integers(-30, 31, (4, 2))]), axis=0).astype(np.int32)
            cv2.polylines(hole, [path], False, 1, int(random.integers(3, 14)))
    grown = int(random.integers(0, 7))
    return cv2.dilate(hole, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grown + 1, 2 * grown + 1))) > 0
