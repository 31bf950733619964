"""What `--tiles` brings and costs for small things: `python -m tests.benchmarks.tiles [COUNT] [SEGMENTER] [PARTS...]`.

Scenes of 4,000×3,000 pixels with things 20 pixels across, some of the colour that is asked for, some of others.
"""

import sys
import time

import cv2
import numpy as np

from flows.steps.loading import quiet_libraries
from masks import TextPrompt, load_segmenter
from masks.tiles import Tiled, parts_of
from removal.bundled.backgrounds import BACKGROUNDS, SMOOTH
from removal.bundled.things import COLOURS, SHAPES, SIZE, Thing, distance, draw

HEIGHT, WIDTH = 3000, 4000
RADIUS = 10.0
MEANT, OTHERS = 12, 12


def main(count: str = "2", name: str = "bundled", *parts: str) -> None:
    """Print for every number of parts how many of the things are found, what else is, and seconds a picture."""
    quiet_libraries()
    segment = load_segmenter(name, device="cpu")
    scenes = [_scene(seed) for seed in range(int(count))]
    print(f"{name}, {count} scenes of {WIDTH}×{HEIGHT}, {MEANT} things of {2 * RADIUS:.0f} pixels and {OTHERS} others")
    print("| `--tiles` | looks | found | others found too | s a picture |\n|---|---|---|---|---|")
    for number in map(int, parts or (1, 8, 12, 16, 32)):
        began, hits, also = time.perf_counter(), [], []
        for image, things, phrase in scenes:
            find = segment if number == 1 else Tiled(segment, number)
            mask = find([image], [TextPrompt(phrase)])[0].mask
            shares = [(thing.text == phrase, mask[place][inside].mean() > 0.5) for thing, place, inside in things]
            hits += [hit for meant, hit in shares if meant]
            also += [hit for meant, hit in shares if not meant]
        seconds = (time.perf_counter() - began) / len(scenes)
        looks = 1 + (number > 1) * len(parts_of(scenes[0][0], number))
        print(f"| {number} | {looks} | {np.mean(hits):.0%} | {np.mean(also):.0%} | {seconds:.1f} |", flush=True)


def _scene(seed: int):
    """A picture (H×W×3 uint8), its things with their places and their pixels there, and the phrase that is asked."""
    random = np.random.default_rng(seed)
    plate = BACKGROUNDS[str(random.choice(SMOOTH))](random, SIZE).astype(np.float32)
    image = cv2.resize(plate, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    image += random.normal(0, 1, image.shape).astype(np.float32)
    colour, *rest = random.permutation([*COLOURS])
    shape = str(random.choice(SHAPES))
    cells = random.permutation((HEIGHT // SIZE) * (WIDTH // SIZE))[: MEANT + OTHERS]
    things = []
    for k, cell in enumerate(cells):
        top, left = (int(cell) // (WIDTH // SIZE) * SIZE, int(cell) % (WIDTH // SIZE) * SIZE)
        place = (slice(top, top + SIZE), slice(left, left + SIZE))
        x, y = random.uniform(RADIUS * 1.5, SIZE - RADIUS * 1.5, 2)
        kind = (shape, str(colour)) if k < MEANT else (str(random.choice(SHAPES)), str(random.choice(rest)))
        thing = Thing(*kind, x, y, RADIUS, random.uniform(0, 2 * np.pi), (0.5, 0.8))
        image[place] = draw(image[place], thing)
        things.append((thing, place, distance(thing) < 0))
    return np.clip(image + 0.5, 0, 255).astype(np.uint8), things, f"{colour} {shape}"


if __name__ == "__main__":
    main(*sys.argv[1:])
