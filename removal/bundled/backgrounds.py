"""The backgrounds of scenes: quiet, of low saturation. Each gives size×size×3 floats.

Lengths are pixels of a scene of SIZE; only edges are a pixel wide at every size, so that large scenes are sharp.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from removal.bundled.things import SIZE, grid

TEXTURED = ("bricks", "tiles", "stripes", "wood")
SMOOTH = ("gradient", "horizon", "clouds")


def _paint(random: np.random.Generator, low: float = 90.0, high: float = 205.0, tint: float = 22.0) -> np.ndarray:
    return random.uniform(low, high) + random.uniform(-tint, tint, 3)


def _pair(random: np.random.Generator, least: float = 24.0) -> tuple[np.ndarray, np.ndarray]:
    """Two related paints whose brightness differs by `least` to 50 levels."""
    first = _paint(random)
    step = random.uniform(least, 50.0) * (1 if first.mean() < 148 else -1)
    return first, first + step + random.uniform(-8, 8, 3)


def _mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    return first + (second - first) * share[..., None]


def _sharp(distance: np.ndarray, size: int) -> np.ndarray:
    """0 to 1 over one pixel of the scene, from a distance in pixels of SIZE; 0 where that is 0."""
    return np.clip(distance * (size / SIZE), 0, 1)


def _turned(random: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = grid(size)
    angle = random.uniform(0, 2 * np.pi)
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def _gradient(random: np.random.Generator, size: int) -> np.ndarray:
    along, _ = _turned(random, size)
    share = (along - along.min()) / (along.max() - along.min())
    return _mix(*_pair(random), share)


def _horizon(random: np.random.Generator, size: int) -> np.ndarray:
    x, y = grid(size)
    line = random.uniform(0.35, 0.65) * SIZE + (x - SIZE / 2) * random.uniform(-0.12, 0.12)
    sky = _mix(_paint(random, 150, 215), _paint(random, 170, 215), y / SIZE)
    ground = _mix(_paint(random, 85, 140), _paint(random, 85, 140), y / SIZE)
    return sky + (ground - sky) * _sharp(y - line + 0.5, size)[..., None]


def _clouds(random: np.random.Generator, size: int) -> np.ndarray:
    share = np.zeros((size, size))
    for cells, weight in ((3, 0.6), (6, 0.28), (12, 0.12)):
        share += weight * cv2.resize(random.random((cells, cells)), (size, size), interpolation=cv2.INTER_CUBIC)
    return _mix(*_pair(random, 30.0), np.clip(share, 0, 1))


def _stripes(random: np.random.Generator, size: int) -> np.ndarray:
    along, _ = _turned(random, size)
    period = random.uniform(9.0, 20.0)
    wave = np.abs((along / period) % 1.0 - 0.5) * period - period / 4  # distance to the nearest edge
    return _mix(*_pair(random), _sharp(wave + 0.5, size))


def _joints(random: np.random.Generator, size: int, width: float, height: float, shift: float) -> np.ndarray:
    """Courses of blocks `width`×`height`, every other one moved by `shift` widths, with pale or dark joints."""
    x, y = grid(size)
    top, left = random.uniform(0, 40, 2)
    x, y = x + left, y + top
    row = np.floor(y / height)
    x = x / width + shift * (row % 2)
    column = np.floor(x)
    edge = np.minimum((x - column) * width, (column + 1 - x) * width)
    edge = np.minimum(edge, np.minimum(y - row * height, (row + 1) * height - y))
    block, joint = _pair(random, 32.0)
    shades = random.uniform(-5, 5, (64, 64))  # a block differs a little from the next, as real ones do
    tone = shades[row.astype(int) % 64, column.astype(int) % 64]
    inside = _sharp(edge - 0.6, size)
    return _mix(joint, block, inside) + tone[..., None] * inside[..., None]


def _bricks(random: np.random.Generator, size: int) -> np.ndarray:
    height = random.uniform(9.0, 14.0)
    return _joints(random, size, height * random.uniform(1.9, 2.4), height, 0.5)


def _tiles(random: np.random.Generator, size: int) -> np.ndarray:
    side = random.uniform(14.0, 24.0)
    return _joints(random, size, side, side, 0.0)


def _wood(random: np.random.Generator, size: int) -> np.ndarray:
    x, y = grid(size)
    plank = random.uniform(20.0, 34.0)
    board = np.floor((y + random.uniform(0, plank)) / plank)
    offset = random.uniform(0, 50, 16)[board.astype(int) % 16]
    bend = np.sin(x / random.uniform(16, 30) + offset) * random.uniform(0.8, 2.0)
    grain = 0.5 + 0.5 * np.sin((y + bend) * random.uniform(0.7, 1.1) + offset)
    seam = np.abs((y - board * plank) - plank / 2) > plank / 2 - 0.8
    first = _paint(random, 130, 180, 6.0) + np.array([14.0, 0.0, -20.0])
    return _mix(first, first - random.uniform(18, 32), grain) - 30.0 * seam[..., None]


BACKGROUNDS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "gradient": _gradient,
    "horizon": _horizon,
    "clouds": _clouds,
    "stripes": _stripes,
    "tiles": _tiles,
    "bricks": _bricks,
    "wood": _wood,
}
