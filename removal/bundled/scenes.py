"""Procedural scenes whose clean plate is known: the only pictures the bundled checkpoints have seen.

A scene is a quiet background of low saturation with saturated objects on it, each with a soft shadow. It is drawn
twice, with and without its target, so the truth behind a removed object is exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from removal.bundled import night, things
from removal.bundled.backgrounds import BACKGROUNDS, SMOOTH, TEXTURED
from removal.bundled.things import COLOURS, SHAPES, SIZE, Thing, distance, random_thing

__all__ = ["BACKGROUNDS", "COLOURS", "LOOKS", "SHAPES", "SIZE", "TRAINING_SEEDS", "Scene", "Thing", "scene"]

TRAINING_SEEDS = 1 << 40  # scenes from here on are for training; `cleanplate scenes` stays below, so its are unseen


@dataclass(frozen=True)
class Look:
    """A way to paint scenes: `backdrop` changes a plate, `draw` adds a thing, whose pixels are its `footprint`."""

    backdrop: Callable[[np.ndarray], np.ndarray]
    draw: Callable[[np.ndarray, Thing], np.ndarray]
    footprint: Callable[[Thing, int], np.ndarray]


LOOKS = {
    "day": Look(lambda plate: plate, things.draw, things.footprint),
    "night": Look(night.backdrop, night.draw, night.footprint),
}


@dataclass(frozen=True)
class Scene:
    """A scene and its truth. Images are H×W×3 uint8 RGB, masks H×W bool.

    `truth` is the scene without its target and the target's shadow; outside `mask` it equals `image` exactly.
    `object` is the target alone; `objects` holds the visible part of every thing, the target last.
    """

    image: np.ndarray
    truth: np.ndarray
    plate: np.ndarray
    mask: np.ndarray
    object: np.ndarray
    objects: tuple[np.ndarray, ...]
    things: tuple[Thing, ...]
    background: str

    @property
    def target(self) -> Thing:
        return self.things[-1]

    @property
    def textured(self) -> bool:
        return self.background in TEXTURED

    @property
    def told_by_colour(self) -> bool:
        """True if nothing else in the scene has the target's colour, so that the colour alone tells which it is."""
        return all(thing.colour != self.target.colour for thing in self.things[:-1])

    @property
    def caption(self) -> str:
        names = [f"a {thing.text}" for thing in self.things]
        return f"{' and '.join(names)} on {self.background}"

    @property
    def point(self) -> tuple[int, int]:
        """(x, y) of the target's pixel that lies deepest inside it."""
        depth = cv2.distanceTransform(self.object.astype(np.uint8), cv2.DIST_L2, 5)
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        return int(x), int(y)


def scene(seed: int, look: str = "day", size: int = SIZE) -> Scene:
    """The scene of a seed. Even seeds have a textured background, so half or more of any run of seeds do.

    `look` day is the one that the bundled checkpoints know; night, of the same things, is that of `bundled-style`.
    `size` is the side in pixels: the same things in the same places at every size, but for the grain.
    """
    random, painted = np.random.default_rng(seed), LOOKS[look]
    textured = seed % 2 == 0 or random.random() < 0.2
    background = str(random.choice(TEXTURED if textured else SMOOTH))
    plate = BACKGROUNDS[background](random, size) + _grain(random, seed, size)
    angle = random.uniform(0.2, 1.2)
    light = (float(np.sin(angle) * random.choice((-1, 1))), float(np.cos(angle)))

    target = random_thing(random, light)
    keep_out = _grown(painted.footprint(target, SIZE), 4 if size == SIZE else 1 + math.ceil(5 * max(1, SIZE / size)))
    others = []
    for _ in range(int(random.binomial(3, 0.55))):
        other = random_thing(random, light)  # drawn where it falls, or not at all: the count behind a hole stays open
        if other.text != target.text and not (painted.footprint(other, SIZE) & keep_out).any():
            others.append(other)
    return _render(painted.backdrop(plate), (*others, target), background, painted)


def _grain(random: np.random.Generator, seed: int, size: int) -> np.ndarray:
    """Noise of one level. The usual size's is always drawn, so that what is drawn next is the same at every size."""
    usual = random.normal(0.0, 1.0, (SIZE, SIZE, 3))
    return usual if size == SIZE else np.random.default_rng((seed, size)).normal(0.0, 1.0, (size, size, 3))


def _grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return cv2.dilate(mask.astype(np.uint8), disk) > 0


def _render(plate: np.ndarray, things: tuple[Thing, ...], background: str, look: Look) -> Scene:
    size = len(plate)
    without, objects = plate, []
    for thing in things[:-1]:
        without = look.draw(without, thing)
    image, truth = _uint8(look.draw(without, things[-1])), _uint8(without)
    covered = np.zeros((size, size), bool)
    for thing in reversed(things):
        whole = distance(thing, size=size) < 0
        objects.append(whole & ~covered)
        covered |= whole
    mask = (image != truth).any(axis=2) | look.footprint(things[-1], size)
    return Scene(image, truth, _uint8(plate), mask, objects[0], tuple(reversed(objects)), things, background)


def _uint8(values: np.ndarray) -> np.ndarray:
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)
