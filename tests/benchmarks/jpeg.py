"""`python -m tests.benchmarks.jpeg`: what it costs to keep a JPEG's coefficients, by the whole job over large photos.

Every round does the same job twice: with the splice and the figure of the written bytes, and as it would be without
both (encoded as a whole, measured in memory). Processor seconds count, since others may use the machine; those of the
worker processes are among them.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
from PIL import Image

from flows.formats import jpeg_workers
from flows.formats.encoding import encode
from flows.formats.mask_files import encode_mask
from flows.job import Job
from flows.run import run
from flows.steps import remove_masked
from removal import load_remover

HEIGHT, WIDTH = 3000, 4000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--method", default="telea")
    given = parser.parse_args()
    load_remover("bundled", method=given.method)  # which is not timed
    ratios = []
    with tempfile.TemporaryDirectory() as place:
        _write(Path(place), given.pictures)
        for number in range(given.rounds):
            kept = _seconds(lambda k=number: _job(Path(place), f"kept{k}", given.method))
            with (
                mock.patch.object(remove_masked, "changed", lambda picture, image: (encode(picture, image), None)),
                mock.patch.object(remove_masked, "outside", return_value=0),
            ):
                whole = _seconds(lambda k=number: _job(Path(place), f"whole{k}", given.method))
            ratios.append(kept[0] / whole[0])
            each = [f"{1000 * cpu / given.pictures:.0f} ms ({wall:.1f} s in all)" for cpu, wall in (kept, whole)]
            print(f"a picture with its coefficients {each[0]}, encoded as a whole {each[1]}: {ratios[-1]:.2f} times")
    print(f"median {statistics.median(ratios):.2f} times")


def _write(place: Path, count: int) -> None:
    """Photos of 12 megapixels: soft colours with grain, each another; and a mask of 3 % for all."""
    random = np.random.default_rng(0)
    soft = cv2.resize(random.integers(40, 216, (30, 40, 3), dtype=np.uint8), (WIDTH, HEIGHT))
    (place / "in").mkdir()
    for number in range(count):
        grain = cv2.randn(np.empty((HEIGHT, WIDTH, 3), np.int16), 0, 3 + number / 10)
        image = np.clip(soft + grain, 0, 255).astype(np.uint8)
        Image.fromarray(image).save(place / "in" / f"{number}.jpg", quality=92, subsampling=2)
    mask = cv2.ellipse(np.zeros((HEIGHT, WIDTH), np.uint8), (2000, 1500), (400, 300), 20, 0, 360, 255, -1)
    (place / "mask.png").write_bytes(encode_mask(mask > 0))


def _job(place: Path, target: str, method: str) -> None:
    where = {"source": str(place / "in"), "target": str(place / target), "masks": str(place / "mask.png")}
    run(Job(**where, method=method, model="bundled", verify=False))
    jpeg_workers.end_all()


def _seconds(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds of all processors, of this process and those that it started and saw the end of; and of the clock."""
    before, began = _spent(), time.monotonic()
    work()
    return _spent() - before, time.monotonic() - began


def _spent() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
