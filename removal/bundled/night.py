"""The other look of scenes: night. Dark, deeply tinted backgrounds, things as neon tubes instead of lit solids."""

from __future__ import annotations

import cv2
import numpy as np

from removal.bundled.things import SIZE, Thing, distance

HALO = 8.0  # how far a tube's light reaches, in pixels of a scene of SIZE
TINTS = {"indigo": (38, 30, 84), "teal": (12, 56, 66), "wine": (66, 20, 48)}
GLOWS = {"indigo": (120, 110, 220), "teal": (60, 190, 190), "wine": (220, 90, 150)}
NEON = {
    "red": (255, 60, 60),
    "orange": (255, 150, 40),
    "yellow": (255, 240, 80),
    "green": (70, 255, 120),
    "cyan": (60, 240, 255),
    "blue": (70, 110, 255),
    "purple": (180, 80, 255),
    "pink": (255, 100, 200),
}


def backdrop(plate: np.ndarray) -> np.ndarray:
    """A plate H×W×3 by night: what was bright glows faintly on a dark tint, with its contrasts doubled."""
    grey = cv2.GaussianBlur(plate.astype(np.float32).mean(axis=2), (0, 0), 0.6 * len(plate) / SIZE)
    light = np.clip(0.25 + (grey - grey.mean()) / 90 + grey / 900, 0, 1)[..., None]
    tint = list(TINTS)[int(plate[0, 0].sum()) % len(TINTS)]
    return (1 - light) * np.array(TINTS[tint], np.float32) * 0.6 + light * np.array(GLOWS[tint]) * 0.8


def footprint(thing: Thing, size: int = SIZE) -> np.ndarray:
    """Every pixel that the tube, its halo or the thing's dim inside can change."""
    return distance(thing, size=size) < HALO


def draw(image: np.ndarray, thing: Thing) -> np.ndarray:
    scale = len(image) / SIZE
    away = distance(thing, size=len(image))
    colour = np.array(NEON[thing.colour], np.float32)
    inside = np.clip(0.5 - away * scale, 0, 1)[..., None]
    image = image * (1 - 0.7 * inside) + 0.16 * colour * inside
    fall = np.clip(1 - np.abs(away + 1.5) / HALO, 0, 1)[..., None]
    tube = np.clip((2.6 - np.abs(away + 1.5)) * scale, 0, 1)[..., None]
    image = image + 0.45 * fall**2 * colour
    return image * (1 - tube) + (0.75 * colour + 60) * tube
