"""Thousands of pictures, random faults, and the account at the end: `make soak` (a stand-in for the model, no weights).

Runs are killed (SIGKILL, SIGTERM, Ctrl-C) and meet full disks at random points; between them pictures are broken,
replaced and added, results deleted and masks corrected by hand. Then one run without faults, and every file and row is
held against a target that was made in peace.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

from flows.formats.encoding import encode_image
from flows.formats.mask_files import encode_mask
from tests.flows.killing import DISK_FULL, killed, points
from tests.flows.small import delivered, image, mask, put, rows, small

FAULTS = {signal.SIGKILL: "killed", signal.SIGTERM: "terminated", signal.SIGINT: "interrupted", DISK_FULL: "disk full"}
BROKEN = [b"", b"no picture", encode_image(image())[:300], b"\xff\xd8\xff\xe0"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cleanplate-soak-") as place:
        print(json.dumps(soak(Path(place), given.pictures, given.faults, random.Random(given.seed)), indent=2))


def soak(place: Path, pictures: int, faults: int, dice: random.Random) -> dict:
    """The account of a folder after so many faults."""
    began = time.monotonic()
    small(place, 0)
    for number in range(pictures):
        put(place, _name(number), number)
    each = _points_of_one(place)
    met: Counter[str] = Counter()
    by_hand: set[str] = set()
    for _ in range(faults):
        fault = dice.choice([*FAULTS])
        at = dice.randrange(1, max(2, 2 * each * pictures // faults))
        met[f"{FAULTS[fault]}, ended with {_clean(place, 'out', at, fault)}"] += 1
        _meddle(place, dice, by_hand)
    peace = _clean(place, "out", 0, signal.SIGKILL)
    return _account(place, by_hand) | {
        "pictures": len(rows(place / "peace")),
        "faults": faults,
        "met": dict(sorted(met.items())),
        "last run ended with": peace,
        "seconds": round(time.monotonic() - began),
    }


def _name(number: int) -> str:
    return f"d{number % 7}/p{number:05}.png"


def _clean(place: Path, target: str, point: int, by: signal.Signals | int, source: str = "in") -> int:
    given = ["--masks", str(place / "masks"), "--model=bundled", "--method=telea", "--no-verify", "--no-flow", "-q"]
    command = ("run", str(place / source), str(place / target), *given, "--max-failures=100%")
    return killed(place / "log", command, point, by, imported="flows.run")


def _points_of_one(place: Path) -> int:
    """About how many points a picture's work has."""
    for number in range(100):
        put(place / "few", _name(number), number)
    given = ["--masks", str(place / "few" / "masks"), "--model=bundled", "--method=telea", "--no-verify", "--no-flow"]
    killed(place / "log", ("run", str(place / "few" / "in"), str(place / "few" / "out"), *given), 0, 9, "flows.run")
    return points(place / "log") // 100


def _meddle(place: Path, dice: random.Random, by_hand: set[str]) -> None:
    """What people do to the folders between two runs."""
    there = sorted(path for path in (place / "in").rglob("*.png"))
    results = sorted((place / "out" / "images").rglob("*.png")) if (place / "out" / "images").exists() else []
    deed = dice.choice(["break", "replace", "add", "delete", "correct"])
    if deed == "break":
        dice.choice(there).write_bytes(dice.choice(BROKEN))
    elif deed == "replace":
        dice.choice(there).write_bytes(encode_image(image(dice.randrange(10**6))))
    elif deed == "add":
        put(place, _name(dice.randrange(10**5, 10**6)), dice.randrange(10**6))
    elif results and deed == "delete":
        dice.choice(results).unlink()
    elif results:
        name = dice.choice(results).relative_to(place / "out" / "images").as_posix()
        (place / "out" / "masks" / f"{name}.png").write_bytes(encode_mask(mask(3, 4, 5, 6)))
        by_hand.add(name)


def _account(place: Path, by_hand: set[str]) -> dict:
    """How the target stands beside one that was made in peace from the same pictures."""
    _clean(place, "peace", 0, signal.SIGKILL)
    found, told = rows(place / "out"), rows(place / "peace")
    there = {path.relative_to(place / "in").as_posix() for path in (place / "in").rglob("*.png")}
    aside = {name for name, row in found.items() if "process died" in (row["reason"] or "")}
    mine = {name for name, row in found.items() if row["segmenter"] == "by hand"}
    files, wanted = delivered(place / "out"), delivered(place / "peace")
    own = {f"images/{name}" for name in mine | aside} | {f"masks/{name}.png" for name in mine | aside}
    return {
        "lost (no row)": len(there - set(found)),
        "too many (a row and no picture)": len(set(found) - there),
        "corrupted (another file than in peace)": sum(
            files.get(name) != wanted.get(name) for name in {*files, *wanted} - own
        ),
        "ended otherwise than in peace": sum(
            found[name]["status"] != told[name]["status"] for name in there & set(found) - mine - aside
        ),
        "half-written files": len(list((place / "out").rglob("*.part"))),
        "set aside": len(aside),
        "masks corrected by hand": len(mine),
        "of these unknown": len(mine - by_hand),
        "statuses": dict(Counter(row["status"] for row in found.values())),
    }


if __name__ == "__main__":
    main()
