"""How much of a shadow --shadow finds, and how much else: `python -m tests.benchmarks.shadows [COUNT]`.

Scenes as they are, whose shadows are short, and the same with a longer one drawn behind the target. The truth is known.
"""

import sys
from dataclasses import dataclass

import numpy as np

from masks import dilate, dilation_radius, shadow_of
from removal.bundled.scenes import Scene, scene
from removal.bundled.things import distance

SEEN = 8  # levels of 255, from which on a shadow is seen
DEPTH, SOFT = 0.4, 3.0  # share of the light that is taken, and half the width in pixels of where it begins


@dataclass(frozen=True)
class Cast:
    """An image (H×W×3 uint8), its object, the shadow that can be seen, and everything it touches (H×W bool)."""

    image: np.ndarray
    object: np.ndarray
    seen: np.ndarray
    touched: np.ndarray


def as_drawn(one: Scene) -> Cast:
    """A scene with the shadow it has."""
    return _cast(one, one.image, one.mask & ~one.object)


def with_shadow(one: Scene, length: float) -> Cast:
    """A scene whose target casts a shadow so many times its radius long, away from the scene's light."""
    thing, darkness = one.target, np.zeros(one.object.shape)
    for part in np.linspace(0, length, 12) * thing.radius:
        away = distance(thing, part * thing.light[0], part * thing.light[1])
        ramp = np.clip((SOFT - away) / (2 * SOFT), 0, 1)
        darkness = np.maximum(darkness, DEPTH * ramp * ramp * (3 - 2 * ramp))
    image = np.clip(one.truth * (1 - darkness[..., None]), 0, 255).astype(np.uint8)
    image[one.object] = one.image[one.object]
    return _cast(one, image, (darkness > 0) & ~one.object)


def _cast(one: Scene, image: np.ndarray, touched: np.ndarray) -> Cast:
    changed = np.abs(image.astype(int) - one.truth).max(axis=2) > SEEN
    return Cast(image, one.object, changed & touched, touched)


def measured(casts: list[Cast]) -> tuple[float, float, float]:
    """Means of the share of the shadow under the usual mask, under the mask with --shadow, and of what else that finds
    as a share of the object."""
    shares = []
    for one in casts:
        found = shadow_of(one.image, one.object)
        radius = dilation_radius("10%", one.object)
        usual, more = (dilate(mask, radius) for mask in (one.object, one.object | found))
        covered = [(mask & one.seen).sum() / one.seen.sum() for mask in (usual, more)]
        shares.append((*covered, (found & ~one.touched).sum() / one.object.sum()))
    without, within, beside = np.mean(shares, axis=0)
    return float(without), float(within), float(beside)


def main(count: int = 150) -> None:
    scenes = [scene(5_000_000 + number) for number in range(count)]
    print(f"{count} scenes; share of the seen shadow under the mask dilated by 10%, and false area per object")
    kinds = {"as drawn": [as_drawn(s) for s in scenes]}
    kinds |= {f"{length:g} radii long": [with_shadow(s, length) for s in scenes] for length in (0.5, 0.8, 1.2)}
    for name, casts in kinds.items():
        without, within, beside = measured([one for one in casts if one.seen.any()])
        print(f"{name:15} --no-shadow {without:6.1%}  --shadow {within:6.1%}  false {beside:5.1%}")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
