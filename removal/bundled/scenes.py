"""Procedural scenes whose clean plate is known: the only pictures the bundled checkpoints have seen.

A scene is a quiet background of low saturation with saturated objects on it, each with a soft shadow. It is drawn
twice, with and without its target, so the truth behind a removed object is exact. Distances follow the signed distance
functions of https://iquilezles.org/articles/distfunctions2d (edges are one pixel of the distance, so no supersampling).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

SIZE = 128  # side of a scene in pixels, and the resolution of every bundled checkpoint
TRAINING_SEEDS = 1 << 40  # scenes from here on are for training; `cleanplate scenes` stays below, so its are unseen

COLOURS = {
    "red": (214, 44, 44),
    "orange": (242, 138, 24),
    "yellow": (240, 216, 40),
    "green": (44, 170, 70),
    "cyan": (30, 190, 208),
    "blue": (44, 84, 216),
    "purple": (142, 58, 194),
    "pink": (242, 100, 172),
}
SHAPES = ("ball", "square", "triangle", "star", "ring", "cross")
TEXTURED = ("bricks", "tiles", "stripes", "wood")
SMOOTH = ("gradient", "horizon", "clouds")


@dataclass(frozen=True)
class Thing:
    """One object of a scene: where it is and what it is called. `x`, `y` and `radius` are pixels, `angle` radians."""

    shape: str
    colour: str
    x: float
    y: float
    radius: float
    angle: float
    light: tuple[float, float]

    @property
    def text(self) -> str:
        return f"{self.colour} {self.shape}"


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
    def caption(self) -> str:
        names = [f"a {thing.text}" for thing in self.things]
        return f"{' and '.join(names)} on {self.background}"

    @property
    def point(self) -> tuple[int, int]:
        """(x, y) of the target's pixel that lies deepest inside it."""
        depth = cv2.distanceTransform(self.object.astype(np.uint8), cv2.DIST_L2, 5)
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        return int(x), int(y)


def scene(seed: int) -> Scene:
    """The scene of a seed. Even seeds have a textured background, so half or more of any run of seeds do."""
    random = np.random.default_rng(seed)
    textured = seed % 2 == 0 or random.random() < 0.2
    background = str(random.choice(TEXTURED if textured else SMOOTH))
    plate = BACKGROUNDS[background](random) + random.normal(0.0, 1.0, (SIZE, SIZE, 3))
    angle = random.uniform(0.2, 1.2)
    light = (float(np.sin(angle) * random.choice((-1, 1))), float(np.cos(angle)))

    target = random_thing(random, light)
    keep_out = cv2.dilate(footprint(target).astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))) > 0
    others = []
    for _ in range(int(random.binomial(3, 0.55))):
        other = random_thing(random, light)  # drawn where it falls, or not at all: the count behind a hole stays open
        if other.text != target.text and not (footprint(other) & keep_out).any():
            others.append(other)
    return _render(plate, (*others, target), background)


def random_thing(random: np.random.Generator, light: tuple[float, float]) -> Thing:
    """A thing of random shape, colour, size and place; `light` is where its shadow falls, a unit vector."""
    radius = random.uniform(12.0, 23.0)
    x, y = random.uniform(radius * 0.8, SIZE - radius * 0.8, 2)
    return Thing(
        str(random.choice(SHAPES)), str(random.choice(list(COLOURS))), x, y, radius, random.uniform(0, 2 * np.pi), light
    )


def _render(plate: np.ndarray, things: tuple[Thing, ...], background: str) -> Scene:
    without, objects = plate, []
    for thing in things[:-1]:
        without = _draw(without, thing)
    image, truth = _uint8(_draw(without, things[-1])), _uint8(without)
    covered = np.zeros((SIZE, SIZE), bool)
    for thing in reversed(things):
        whole = _distance(thing) < 0
        objects.append(whole & ~covered)
        covered |= whole
    mask = (image != truth).any(axis=2) | footprint(things[-1])
    return Scene(image, truth, _uint8(plate), mask, objects[0], tuple(reversed(objects)), things, background)


def _uint8(values: np.ndarray) -> np.ndarray:
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)


# Objects -------------------------------------------------------------------------------------------------------------


def _grid(thing: Thing, dx: float = 0.0, dy: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    return x - (thing.x + dx), y - (thing.y + dy)


def _distance(thing: Thing, dx: float = 0.0, dy: float = 0.0) -> np.ndarray:
    """Signed distance in pixels to the edge of a thing moved by (dx, dy), negative inside."""
    x, y = _grid(thing, dx, dy)
    cos, sin = np.cos(thing.angle), np.sin(thing.angle)
    return SHAPE_DISTANCES[thing.shape](cos * x + sin * y, cos * y - sin * x, thing.radius)


def _star(x: np.ndarray, y: np.ndarray, r: float) -> np.ndarray:
    length, fold = np.hypot(x, y), np.pi / 5
    turn = np.abs((np.arctan2(y, x) + fold) % (2 * fold) - fold)
    tip, valley = np.array([r, 0.0]), 0.52 * r * np.array([np.cos(fold), np.sin(fold)])
    edge = (valley - tip) / np.hypot(*(valley - tip))
    return (length * np.cos(turn) - tip[0]) * edge[1] - (length * np.sin(turn) - tip[1]) * edge[0]


def _triangle(x: np.ndarray, y: np.ndarray, r: float) -> np.ndarray:
    third = 2 * np.pi / 3
    return np.maximum.reduce([x * np.cos(k * third) + y * np.sin(k * third) for k in range(3)]) - 0.52 * r


def _cross(x: np.ndarray, y: np.ndarray, r: float) -> np.ndarray:
    a, b, arm = np.abs(x), np.abs(y), 0.36 * r
    return np.minimum(np.maximum(a - r, b - arm), np.maximum(a - arm, b - r))


SHAPE_DISTANCES: dict[str, Callable[[np.ndarray, np.ndarray, float], np.ndarray]] = {
    "ball": lambda x, y, r: np.hypot(x, y) - 0.92 * r,
    "square": lambda x, y, r: np.maximum(np.abs(x), np.abs(y)) - 0.8 * r,
    "triangle": _triangle,
    "star": _star,
    "ring": lambda x, y, r: np.abs(np.hypot(x, y) - 0.7 * r) - 0.27 * r,
    "cross": _cross,
}


def _shadow(thing: Thing) -> np.ndarray:
    """Darkening 0..0.4 by a soft shadow with a finite edge, cast away from the light by 0.14 radii."""
    reach, softness = 0.14 * thing.radius, 2.0
    distance = _distance(thing, reach * thing.light[0], reach * thing.light[1])
    ramp = np.clip((softness - distance) / (2 * softness), 0.0, 1.0)
    return 0.4 * ramp * ramp * (3 - 2 * ramp)


def footprint(thing: Thing) -> np.ndarray:
    """Every pixel that the thing or its shadow can change."""
    return (_distance(thing) < 0.5) | (_shadow(thing) > 0)


def _draw(image: np.ndarray, thing: Thing) -> np.ndarray:
    image = image * (1.0 - _shadow(thing)[..., None])
    alpha = np.clip(0.5 - _distance(thing), 0.0, 1.0)[..., None]
    x, y = _grid(thing)
    towards = -(x * thing.light[0] + y * thing.light[1]) / thing.radius  # 1 at the lit edge, -1 at the far one
    if thing.shape == "ball":
        glint = np.exp(-((x / thing.radius + 0.35 * thing.light[0]) ** 2 + (y / thing.radius + 0.35) ** 2) / 0.06)
        shade = 0.88 + 0.16 * towards
    else:
        glint, shade = np.zeros_like(x), 0.94 + 0.1 * towards
    colour = np.array(COLOURS[thing.colour]) * shade[..., None] + 90.0 * glint[..., None]
    return image * (1 - alpha) + colour * alpha


# Backgrounds: each takes a random generator and returns SIZE×SIZE×3 floats, 0..255, of low saturation ----------------


def _paint(random: np.random.Generator, low: float = 90.0, high: float = 205.0, tint: float = 22.0) -> np.ndarray:
    return random.uniform(low, high) + random.uniform(-tint, tint, 3)


def _pair(random: np.random.Generator, least: float = 24.0) -> tuple[np.ndarray, np.ndarray]:
    """Two related paints whose brightness differs by `least` to 50 levels."""
    first = _paint(random)
    step = random.uniform(least, 50.0) * (1 if first.mean() < 148 else -1)
    return first, first + step + random.uniform(-8, 8, 3)


def _mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    return first + (second - first) * share[..., None]


def _turned(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float64)
    angle = random.uniform(0, 2 * np.pi)
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def _gradient(random: np.random.Generator) -> np.ndarray:
    along, _ = _turned(random)
    share = (along - along.min()) / (along.max() - along.min())
    return _mix(*_pair(random), share)


def _horizon(random: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float64)
    line = random.uniform(0.35, 0.65) * SIZE + (x - SIZE / 2) * random.uniform(-0.12, 0.12)
    sky = _mix(_paint(random, 150, 215), _paint(random, 170, 215), y / SIZE)
    ground = _mix(_paint(random, 85, 140), _paint(random, 85, 140), y / SIZE)
    return sky + (ground - sky) * np.clip(y - line + 0.5, 0, 1)[..., None]


def _clouds(random: np.random.Generator) -> np.ndarray:
    share = np.zeros((SIZE, SIZE))
    for cells, weight in ((3, 0.6), (6, 0.28), (12, 0.12)):
        share += weight * cv2.resize(random.random((cells, cells)), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    return _mix(*_pair(random, 30.0), np.clip(share, 0, 1))


def _stripes(random: np.random.Generator) -> np.ndarray:
    along, _ = _turned(random)
    period = random.uniform(9.0, 20.0)
    wave = np.abs((along / period) % 1.0 - 0.5) * period - period / 4  # distance to the nearest edge
    return _mix(*_pair(random), np.clip(wave + 0.5, 0, 1))


def _joints(random: np.random.Generator, width: float, height: float, shift: float) -> np.ndarray:
    """Courses of blocks `width`×`height`, every other one moved by `shift` widths, with pale or dark joints."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] + random.uniform(0, 40, 2)[:, None, None]
    row = np.floor(y / height)
    x = x / width + shift * (row % 2)
    column = np.floor(x)
    edge = np.minimum((x - column) * width, (column + 1 - x) * width)
    edge = np.minimum(edge, np.minimum(y - row * height, (row + 1) * height - y))
    block, joint = _pair(random, 32.0)
    shades = random.uniform(-5, 5, (64, 64))  # a block differs a little from the next, as real ones do
    tone = shades[row.astype(int) % 64, column.astype(int) % 64]
    return _mix(joint, block, np.clip(edge - 0.6, 0, 1)) + tone[..., None] * np.clip(edge - 0.6, 0, 1)[..., None]


def _bricks(random: np.random.Generator) -> np.ndarray:
    height = random.uniform(9.0, 14.0)
    return _joints(random, height * random.uniform(1.9, 2.4), height, 0.5)


def _tiles(random: np.random.Generator) -> np.ndarray:
    side = random.uniform(14.0, 24.0)
    return _joints(random, side, side, 0.0)


def _wood(random: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float64)
    plank = random.uniform(20.0, 34.0)
    board = np.floor((y + random.uniform(0, plank)) / plank)
    offset = random.uniform(0, 50, 16)[board.astype(int) % 16]
    bend = np.sin(x / random.uniform(16, 30) + offset) * random.uniform(0.8, 2.0)
    grain = 0.5 + 0.5 * np.sin((y + bend) * random.uniform(0.7, 1.1) + offset)
    seam = np.abs((y - board * plank) - plank / 2) > plank / 2 - 0.8
    first = _paint(random, 130, 180, 6.0) + np.array([14.0, 0.0, -20.0])
    return _mix(first, first - random.uniform(18, 32), grain) - 30.0 * seam[..., None]


BACKGROUNDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "gradient": _gradient,
    "horizon": _horizon,
    "clouds": _clouds,
    "stripes": _stripes,
    "tiles": _tiles,
    "bricks": _bricks,
    "wood": _wood,
}
