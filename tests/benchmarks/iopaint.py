"""IOPaint 1.6 beside us: the same fill (OpenCV's Telea) of the same 1-megapixel JPEGs with given masks.

    python -m tests.benchmarks.iopaint                          # sets IOPaint up below --work first, once
    python -m tests.benchmarks.iopaint --python ENV/bin/python  # with an IOPaint that is there

Whole processes in turns, from the command to its end: wall seconds and processor seconds, and the ratio of their
medians. IOPaint writes PNGs of what its crop strategy filled; we also judge every result, measure it on the bytes that
were written, keep the JPEG's coefficients outside the mask, and write records and a review page. It takes torch from
the environment that runs this, so that little is fetched.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from removal.fills.telea import RADIUS

SIDES = (1200, 834)  # one megapixel
WANTED = ("iopaint==1.6.0", "numpy<2")
Seconds = tuple[float, float]  # on the clock, and of processors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=24)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--python", type=Path, help="of an environment with IOPaint")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "cleanplate-iopaint")
    given = parser.parse_args()
    python = given.python or _set_up(given.work / "env")
    with tempfile.TemporaryDirectory() as place:
        _draw(Path(place), given.pictures)
        commands = {"IOPaint": _theirs(Path(place), python), "Cleanplate": _ours(Path(place))}
        taken: dict[str, list[Seconds]] = {name: [] for name in commands}
        for turn in range(given.turns):
            for name, command in commands.items():
                taken[name].append(_timed(command, Path(place) / name, given.pictures))
                print(f"turn {turn + 1}, {name}: {taken[name][-1][0]:.1f} s, {taken[name][-1][1]:.1f} processor s")
    wall, processor = (
        statistics.median(one[k] for one in taken["IOPaint"]) / statistics.median(one[k] for one in taken["Cleanplate"])
        for k in range(2)
    )
    print(
        f"IOPaint takes {wall:.1f} times as long, and {processor:.1f} times the processor, for {given.pictures} JPEGs"
    )


def _set_up(env: Path) -> Path:
    """An environment with IOPaint, which finds the torch of this one; made once."""
    python = env / "bin" / "python"
    if not python.exists():
        venv.create(env, with_pip=True)
        shared = env / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages/shared.pth"
        shared.write_text(str(Path(np.__file__).parents[1]))
    if subprocess.run([python, "-c", "import iopaint"], capture_output=True).returncode:
        subprocess.run([python, "-m", "pip", "install", "--quiet", *WANTED], check=True)
    return python


def _draw(place: Path, count: int) -> None:
    """Pieces of the photos of the package, each with an object-sized hole somewhere."""
    random = np.random.default_rng(0)
    photos = [
        Image.open(files("flows.samples").joinpath(f"photos/{name}.jpg")).convert("RGB")
        for name in ("coffee", "rocket")
    ]
    for folder in ("in", "masks"):
        (place / folder).mkdir()
    for number in range(count):
        photo = photos[number % len(photos)]
        left, top = (random.integers(0, side // 5) for side in photo.size)
        piece = photo.crop((left, top, left + photo.width * 4 // 5, top + photo.height * 4 // 5)).resize(SIDES)
        piece.save(place / "in" / f"{number:03}.jpg", quality=90)
        hole = np.zeros(SIDES[::-1], np.uint8)
        y, x = (random.integers(0, side - 150) for side in hole.shape)
        hole[y : y + 150, x : x + 150] = 255
        Image.fromarray(hole).save(place / "masks" / f"{number:03}.png")


def _theirs(place: Path, python: Path) -> list[str | Path]:
    config = place / "iopaint.json"
    config.write_text(json.dumps({"cv2_flag": "INPAINT_TELEA", "cv2_radius": RADIUS}))
    flags = [f"--image={place / 'in'}", f"--mask={place / 'masks'}", f"--output={place / 'IOPaint'}"]
    return [python.parent / "iopaint", "run", "--model=cv2", "--device=cpu", f"--config={config}", *flags]


def _ours(place: Path) -> list[str | Path]:
    words = ["run", place / "in", place / "Cleanplate", "--masks", place / "masks", "--method", "telea", "--no-flow"]
    return [sys.executable, "-m", "flows", *words]


def _timed(command: list[str | Path], target: Path, pictures: int) -> Seconds:
    shutil.rmtree(target, ignore_errors=True)
    began, before = time.monotonic(), _processor()
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    seconds = time.monotonic() - began, _processor() - before
    written = [*target.glob("*.png"), *target.glob("images/*")]
    if ended.returncode or len(written) != pictures:
        raise SystemExit(
            f"{command[0]} ended with {ended.returncode} and {len(written)} pictures:\n{ended.stderr[-2000:]}"
        )
    return seconds


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
