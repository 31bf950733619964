"""How well the bundled segmenters find an object of unseen scenes: `python -m tests.benchmarks.segmenters [COUNT]`."""

import sys

import numpy as np

from flows.steps.loading import quiet_libraries
from masks import BoxPrompt, PointPrompt, Prompt, TextPrompt, load_segmenter
from masks.morphology import outline
from removal.bundled.scenes import Scene, scene


def main(count: int = 100) -> None:
    """Print the mean and median intersection over union with the object alone, for each kind of prompt."""
    quiet_libraries()
    segment = load_segmenter("bundled", device="cpu")
    scenes = [scene(5_000_000 + number) for number in range(count)]
    for kind, ask in KINDS.items():
        found = segment([s.image for s in scenes], [ask(s) for s in scenes])
        overlaps = [(f.mask & s.object).sum() / (f.mask | s.object).sum() for f, s in zip(found, scenes, strict=True)]
        crowded = [(f, s) for f, s in zip(found, scenes, strict=True) if len(s.objects) > 1]
        also = sum(any((f.mask & other).sum() > 0.25 * other.sum() for other in s.objects[:-1]) for f, s in crowded)
        print(f"{kind:6} mean {np.mean(overlaps):.3f}  median {np.median(overlaps):.3f}  of {count} scenes", end="; ")
        told = [overlap for overlap, s in zip(overlaps, scenes, strict=True) if s.told_by_colour]
        print(f"{np.mean(told):.3f} where the colour tells", end="; ")
        print(f"another thing found too in {also} of {len(crowded)} with several")


def _text(one: Scene) -> Prompt:
    return TextPrompt(one.target.text)


def _point(one: Scene) -> Prompt:
    return PointPrompt(((*one.point, 1),))


def _box(one: Scene) -> Prompt:
    return BoxPrompt(outline(one.object))


KINDS = {"text": _text, "point": _point, "box": _box}

if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
