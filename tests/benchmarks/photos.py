"""Photos with holes over a background that is known: what was there before an object was put on it.

They come with scikit-image; those of SHARED are taken too where that folder is. The places of the holes were chosen by
eye, so that nobody could tell from the truth that something is missing.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from masks import dilate
from removal.bundled.things import SHAPE_DISTANCES

SHARED = Path(os.environ.get("CLEANPLATE_PHOTOS", Path(__file__).parents[3] / "shared" / "photos"))
SIDE = 512  # pixels of the longer side, and the scale of PLACES
MARGIN = 5  # pixels by which a mask is larger than its object
RADII = (30, 38, 46, 54)  # of the objects, 12 to 21 % of the side across
PLACES = {  # file: centres of the four holes, x and y
    "astronaut.png": ((318, 62), (330, 178), (462, 66), (100, 322)),
    "chelsea.png": ((452, 60), (462, 262), (60, 120), (225, 90)),
    "coffee.png": ((56, 64), (476, 232), (446, 62), (60, 262)),
    "rocket.jpg": ((176, 66), (402, 60), (80, 190), (320, 220)),
    "motorcycle_left.png": ((300, 302), (60, 306), (470, 290), (64, 60)),
    "brick.png": ((130, 130), (380, 130), (130, 380), (380, 380)),
    "grass.png": ((130, 130), (380, 130), (130, 380), (380, 380)),
    "gravel.png": ((130, 130), (380, 130), (130, 380), (380, 380)),
    "camera.png": ((380, 60), (430, 250), (420, 400), (420, 150)),
    "hubble_deep_field.jpg": ((110, 320), (420, 120), (300, 380), (70, 110)),
    "moon.png": ((380, 300), (110, 300), (400, 110), (420, 420)),
    "bench.png": ((60, 190), (440, 190), (110, 430), (120, 260)),
    "boat.jpg": ((70, 260), (300, 250), (120, 450), (110, 110)),
    "dog.jpg": ((420, 290), (290, 290), (230, 130), (330, 210)),
    "truck.jpg": ((400, 60), (300, 296), (110, 290), (70, 56)),
}


@dataclass(frozen=True)
class Covered:
    """A photo (`truth`, H×W×3 uint8), the same with an object put on it (`image`), and what hides the object (`mask`).

    `object` and `mask` are H×W bool; outside `mask` the two pictures are equal.
    """

    photo: str
    truth: np.ndarray
    image: np.ndarray
    object: np.ndarray
    mask: np.ndarray


def covered() -> list[Covered]:
    """Every hole of the photos that are here. The objects are cut from the photo after it."""
    photos = {name: _read(file) for name, file in _files().items()}
    others = [*photos.values()][1:] + [*photos.values()][:1]
    rows = zip(photos.items(), others, strict=True)
    return [one for (name, photo), other in rows for one in _holes(name, photo, other)]


def silhouette(number: int, centre: tuple[int, int], radius: int, shape: tuple[int, int]) -> np.ndarray:
    """A shape out of two that overlap, as things are not convex: H×W bool."""
    shapes = [*SHAPE_DISTANCES.values()]
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    angle, (left, top) = 0.7 * number, centre
    x, y = x - left, y - top
    across, down = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    body = np.hypot(across / 0.62, down) - radius
    return (body < 0) | (shapes[number % len(shapes)](across, down - 0.35 * radius, 0.8 * radius) < 0)


def _holes(name: str, photo: np.ndarray, other: np.ndarray) -> Iterator[Covered]:
    for number, (centre, radius) in enumerate(zip(PLACES[name], RADII, strict=True)):
        thing = silhouette(number + len(name), centre, radius, photo.shape[:2])
        image = photo.copy()
        image[thing] = cv2.resize(other[::-1], photo.shape[1::-1], interpolation=cv2.INTER_AREA)[thing]
        yield Covered(name, photo, image, thing, dilate(thing, MARGIN))


def _files() -> dict[str, Path]:
    """Where each photo is, of those that are here."""
    found = importlib.util.find_spec("skimage")
    folders = [Path(found.origin).parent / "data"] if found and found.origin else []
    return {name: folder / name for name in PLACES for folder in [*folders, SHARED] if (folder / name).exists()}


def _read(file: Path) -> np.ndarray:
    photo = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
    scale = SIDE / max(photo.shape)
    return cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
