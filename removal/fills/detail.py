"""Restores the detail of a fill that was made at a smaller size, from the places that its patches came from.

The small fill consists of pieces of the small picture. Their origins are found again by PatchMatch's own search (Barnes
et al. 2009: the offsets of neighbours, and random ones), here for the whole hole at once in numpy; the same place in
the large picture has the detail that the small one lacks. Only finer detail than the small picture has is copied, so
that no colour changes and no seam appears where two pieces meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np

Search = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

ROUNDS = 6
NEIGHBOURS = ((0, 1), (0, -1), (1, 0), (-1, 0))
WORDS = 12  # numbers that a patch is compared by


def magnified(image: np.ndarray, hole: np.ndarray, avoid: np.ndarray, scale: float, search: Search) -> np.ndarray:
    """A fill of `image` (H×W×3 uint8) that `search` makes at `scale` (below 1), with the detail of the full size.

    hole, avoid: H×W bool. Pixels outside the hole are arbitrary.
    """
    height, width = hole.shape
    small = (max(8, round(width * scale)), max(8, round(height * scale)))
    least, forbidden = touched(hole, small), touched(avoid, small)
    coarse = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    filled = search(coarse, least, forbidden & ~least)
    smooth = _large(filled, width, height)
    source = sources(filled, least, ~(least | forbidden))
    if source is None:
        return smooth
    rows, columns = np.nonzero(hole)
    y, x = rows * small[1] // height, columns * small[0] // width
    dy = np.round((source[0][y, x] - y) * (height / small[1])).astype(int)
    dx = np.round((source[1][y, x] - x) * (width / small[0])).astype(int)
    from_y, from_x = np.clip(rows + dy, 0, height - 1), np.clip(columns + dx, 0, width - 1)
    detail = image.astype(np.int16) - _large(coarse, width, height)
    detail[hole | avoid] = 0
    result = smooth.astype(np.int16)
    result[rows, columns] += detail[from_y, from_x]
    return result.clip(0, 255).astype(np.uint8)


def sources(filled: np.ndarray, hole: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Row and column (H×W int32 each) of the known pixel whose surroundings are most like those of each hole pixel.

    None where nothing is known. The same for the same arguments.
    """
    places = np.flatnonzero(known)
    targets = np.flatnonzero(hole)
    if not len(places) or not len(targets):
        return None
    height, width = hole.shape
    words = _words(filled).reshape(-1, WORDS)
    random = np.random.default_rng(0)
    best = np.arange(height * width)
    best[targets] = random.choice(places, len(targets))
    cost = np.zeros(height * width, np.float32)
    mine, allowed = words[targets], known.ravel()
    y, x = np.divmod(targets, width)
    cost[targets] = _distance(mine, words[best[targets]])

    def offer(row: np.ndarray, column: np.ndarray) -> None:
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        place = np.where(inside, row * width + column, 0)
        which = np.flatnonzero(inside & allowed[place])
        new = _distance(mine[which], words[place[which]])
        better = new < cost[targets[which]]
        which, new = which[better], new[better]
        best[targets[which]], cost[targets[which]] = place[which], new

    for step in [8, 4, 2, 1] + [1] * ROUNDS:
        for down, right in NEIGHBOURS:
            ny, nx = y - down * step, x - right * step
            near = np.clip(ny, 0, height - 1) * width + np.clip(nx, 0, width - 1)
            row, column = np.divmod(best[near], width)
            offer(row + (y - near // width), column + (x - near % width))
        for radius in _radii(max(height, width) // 2):
            row, column = np.divmod(best[targets], width)
            down, right = random.integers(-radius, radius + 1, (2, len(targets)))
            offer(row + down, column + right)
    found = np.divmod(best.reshape(height, width), width)
    return found[0], found[1]


def _radii(radius: int) -> Iterator[int]:
    """From that one down to the nearest neighbours."""
    while radius >= 1:
        yield radius
        radius //= 4


def _words(image: np.ndarray) -> np.ndarray:
    """A description of each pixel's surroundings: H×W×12 float32, a 7×7 patch's colours, slopes and finest detail."""
    plain = image.astype(np.float32)
    mean = cv2.blur(plain, (3, 3))
    wide = cv2.blur(plain, (5, 5))
    right = np.roll(mean, -2, 1) - np.roll(mean, 2, 1)
    down = np.roll(mean, -2, 0) - np.roll(mean, 2, 0)
    return np.concatenate([plain, wide, right, down], axis=2)


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    difference = a - b
    return np.einsum("nk,nk->n", difference, difference)


def _large(image: np.ndarray, width: int, height: int) -> np.ndarray:
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)


def touched(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Every small pixel that the mask touches at all."""
    return cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 1e-6
