"""The objects of scenes: saturated shapes with a soft shadow, drawn from signed distances.

Distance functions after https://iquilezles.org/articles/distfunctions2d; an edge is one pixel of the distance, so
nothing is drawn larger and shrunk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SIZE = 128  # usual side of a scene in pixels, and the resolution of every bundled checkpoint

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


@dataclass(frozen=True)
class Thing:
    """One object of a scene: where it is and what it is called.

    `x`, `y` and `radius` are pixels of a scene of SIZE, whatever size it is drawn at; `angle` is in radians.
    """

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


def random_thing(random: np.random.Generator, light: tuple[float, float]) -> Thing:
    """A thing of random shape, colour, size and place; `light` is where its shadow falls, a unit vector."""
    radius = random.uniform(12.0, 23.0)
    x, y = random.uniform(radius * 0.8, SIZE - radius * 0.8, 2)
    return Thing(
        str(random.choice(SHAPES)), str(random.choice(list(COLOURS))), x, y, radius, random.uniform(0, 2 * np.pi), light
    )


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the pixels of a scene of `size`, in pixels of one of SIZE: the same scene, more finely sampled."""
    y, x = (np.mgrid[0:size, 0:size] + 0.5) * (SIZE / size) - 0.5
    return x, y


def distance(thing: Thing, dx: float = 0.0, dy: float = 0.0, size: int = SIZE) -> np.ndarray:
    """Signed distance to the edge of a thing moved by (dx, dy), negative inside, in pixels of a scene of SIZE."""
    x, y = _from_centre(thing, size, dx, dy)
    cos, sin = np.cos(thing.angle), np.sin(thing.angle)
    return SHAPE_DISTANCES[thing.shape](cos * x + sin * y, cos * y - sin * x, thing.radius)


def _from_centre(thing: Thing, size: int, dx: float = 0.0, dy: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    x, y = (axis.astype(np.float32) for axis in grid(size))
    return x - (thing.x + dx), y - (thing.y + dy)


def _star(x: np.ndarray, y: np.ndarray, r: float) -> np.ndarray:
    length, fold = np.hypot(x, y), np.pi / 5
    turn = np.abs((np.arctan2(y, x) + fold) % (2 * fold) - fold)
    tip, valley = np.array([r, 0.0]), 0.52 * r * np.array([np.cos(fold), np.sin(fold)])
    edge = (valley - tip) / np.hypot(*(valley - tip))
    return (length * np.cos(turn) - tip[0]) * edge[1] - (length * np.sin(turn) - tip[1]) * edge[0]


def _triangle(x: np.ndarray, y: np.ndarray, r: float) -> np.ndarray:
    third = 2 * np.pi / 3
    return np.max([x * np.cos(k * third) + y * np.sin(k * third) for k in range(3)], axis=0) - 0.52 * r


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


def _shadow(thing: Thing, size: int) -> np.ndarray:
    """Darkening 0..0.4 by a soft shadow with a finite edge, cast away from the light by 0.14 radii."""
    reach, softness = 0.14 * thing.radius, 2.0
    away = distance(thing, reach * thing.light[0], reach * thing.light[1], size)
    ramp = np.clip((softness - away) / (2 * softness), 0.0, 1.0)
    return 0.4 * ramp * ramp * (3 - 2 * ramp)


def footprint(thing: Thing, size: int = SIZE) -> np.ndarray:
    """Every pixel that the thing or its shadow can change."""
    return (distance(thing, size=size) * (size / SIZE) < 0.5) | (_shadow(thing, size) > 0)


def draw(image: np.ndarray, thing: Thing) -> np.ndarray:
    """A square image with the thing on it, whose edge is one pixel wide at every size."""
    size = len(image)
    image = image * (1.0 - _shadow(thing, size)[..., None])
    alpha = np.clip(0.5 - distance(thing, size=size) * (size / SIZE), 0.0, 1.0)[..., None]
    x, y = _from_centre(thing, size)
    towards = -(x * thing.light[0] + y * thing.light[1]) / thing.radius  # 1 at the lit edge, -1 at the far one
    if thing.shape == "ball":
        glint = np.exp(-((x / thing.radius + 0.35 * thing.light[0]) ** 2 + (y / thing.radius + 0.35) ** 2) / 0.06)
        shade = 0.88 + 0.16 * towards
    else:
        glint, shade = np.zeros_like(x), 0.94 + 0.1 * towards
    colour = np.array(COLOURS[thing.colour]) * shade[..., None] + 90.0 * glint[..., None]
    return image * (1 - alpha) + colour * alpha
