"""How many planted failures a reviewer meets first: `python -m tests.benchmarks.planted [COUNT] [PLANTED]`.

A whole run over scenes, half asked by a phrase and half by a point, in which the objects of some are pasted back as if
nothing had been removed. The page lists the worst first; what counts is where these stand in it.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from flows.formats.pictures import decode
from flows.job import Job
from flows.page import report as review
from flows.run import run
from flows.samples.scenes import write_scenes
from flows.steps import remove_masked
from flows.steps.loading import quiet_libraries
from tests.benchmarks.ladder import half_by_point, rows_of

SEED = 4  # of `cleanplate scenes`
PAGE = 100  # pictures on a page


def main(count: int = 200, planted: int = 20) -> None:
    """Print how many of the planted failures stand among the worst 20, 40 and on the first page."""
    quiet_libraries()
    with tempfile.TemporaryDirectory(prefix="cleanplate-") as place:
        scenes, target = Path(place) / "scenes", Path(place) / "out"
        write_scenes(scenes, count, SEED)
        half_by_point(scenes)
        left = {f"{number:04}.png" for number in np.random.default_rng(0).choice(count, planted, replace=False)}
        order = listed(scenes, target, left)
    print(f"{planted} of {count} scenes keep their object")
    for first in (planted, 2 * planted, PAGE):
        print(f"of these among the worst {first}: {len(left & set(order[:first]))}")


def listed(scenes: Path, target: Path, left: set[str]) -> list[str]:
    """The pictures of a run in the order of its page; those `left` keep what was to be removed."""
    kept = {(scenes / "images" / name).read_bytes() for name in left}
    load = remove_masked.load_remover
    remove_masked.load_remover = lambda *given, **named: Leaves(load(*given, **named), pixels(kept))
    try:
        run(
            Job(
                source=str(scenes / "images"), target=str(target), prompts=str(scenes / "prompts.jsonl"),
                model="bundled", device="cpu",
            )
        )  # fmt: skip
    finally:
        remove_masked.load_remover = load
    return [row["source"] for row in sorted(rows_of(target), key=review.urgency)]


def pixels(files: set[bytes]) -> set[bytes]:
    """The pictures in these files, as a remover is given them."""
    return {decode(data).image.tobytes() for data in files}


class Leaves:
    """A remover that leaves some pictures as they are, by their pixels."""

    def __init__(self, remover, left: set[bytes]):
        self.remover, self.left = remover, left

    def __getattr__(self, name: str):
        return getattr(self.remover, name)

    def __call__(self, images, masks, seeds):
        results = self.remover(images, masks, seeds)
        return [
            image if image.tobytes() in self.left else result for image, result in zip(images, results, strict=True)
        ]


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
