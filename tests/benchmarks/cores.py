"""Whether a second core pays: photos of 12 megapixels by `--method patchmatch`, on one core and on two.

`python -m tests.benchmarks.cores` runs the same job on each, one after the other, in this one process's time: compare
its ratio, not its seconds. Then it says how many seconds of a core the largest holes take. Needs Linux, and a machine
that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from removal.fills import patchmatch
from tests.benchmarks.photos import SHARED, covered

SIZE = (4000, 3000)
SHARE = 0.15  # of the height is a hole high
LARGEST = (400, 800, 1600, 2400)  # pixels across


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=48)
    given = parser.parse_args()
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise SystemExit("this process may use one core alone, so that there is nothing to compare")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_photos(place, given.count)
        walls = {}
        for cores in (1, 2):
            walls[cores], busy = run(place, f"out{cores}", allowed[:cores])
            print(
                f"{cores} core{'s' * (cores > 1)}: {walls[cores]:.1f} s, {busy / walls[cores]:.2f} cores busy",
                flush=True,
            )
        print(f"{given.count} photos of 12 megapixels: {walls[1] / walls[2]:.2f} times as fast on two cores")
    for across in LARGEST:
        print(f"a hole of {across} pixels across: {seconds_of(across):.1f} s of a core", flush=True)


def write_photos(place: Path, count: int) -> None:
    """`count` photos as JPEG and a mask for each, with a hole at another place; from photos whose truth is known."""
    sources = [one.truth for one in covered()[::4] if not (SHARED / one.photo).exists()]
    random = np.random.default_rng(0)
    for name in ("photos", "masks"):
        (place / name).mkdir()
    width, height = SIZE
    for k in range(count):
        large = cv2.resize(sources[k % len(sources)], SIZE, interpolation=cv2.INTER_CUBIC)
        noisy = large + random.normal(0, 4, (height, width, 1)).astype(np.float32)
        cv2.imwrite(str(place / "photos" / f"{k:03}.jpg"), noisy.clip(0, 255).astype(np.uint8)[..., ::-1])
        mask = np.zeros((height, width), np.uint8)
        centre = tuple(int(random.uniform(0.3, 0.7) * side) for side in SIZE)
        cv2.ellipse(mask, centre, (int(SHARE * height / 3), int(SHARE * height / 2)), 0, 0, 360, 255, -1)
        cv2.imwrite(str(place / "masks" / f"{k:03}.png"), mask)


def run(place: Path, target: str, cores: Sequence[int]) -> tuple[float, float]:
    """Seconds of the wall and of all cores that the job takes on those cores alone."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "flows", "run", place / "photos", place / target, "--masks", place / "masks",
         "--method", "patchmatch", "--no-flow", "--quiet"],
        check=True, preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )  # fmt: skip
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def seconds_of(across: int) -> float:
    """Seconds of a core for one round hole in the middle of a photo, without other work."""
    photo = cv2.resize(covered()[0].truth, SIZE, interpolation=cv2.INTER_CUBIC)
    mask = np.zeros(photo.shape[:2], np.uint8)
    cv2.circle(mask, (SIZE[0] // 2, SIZE[1] // 2), across // 2, 1, -1)
    start = time.process_time()
    patchmatch.fill(photo, mask > 0)
    return time.process_time() - start


if __name__ == "__main__":
    main()
