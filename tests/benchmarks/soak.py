"""Thousands of pictures, random faults, and the account at the end: `make soak` (a stand-in for the model, no weights).

Runs are killed (SIGKILL, SIGTERM, Ctrl-C), paused for longer than --hang-timeout, meet full disks, and have links put
into their target at random points; between them pictures are broken, replaced and added, results deleted, masks
corrected by hand and folders led away to somebody's originals. Dozens of names are odd. Then one run without faults,
and every file and row is held against a target that was made in peace.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from flows.formats.encoding import encode_image
from flows.formats.mask_files import encode_mask
from tests.benchmarks.faults import FAULTS, PAUSED, Fault, Led, led_away, originals, state_of
from tests.benchmarks.odd_names import ODD, name_of
from tests.flows.killing import By, killed, points
from tests.flows.small import delivered, image, mask, put, rows

BROKEN = [b"", b"no picture", encode_image(image())[:300], b"\xff\xd8\xff\xe0"]
SETTINGS = ("--model=bundled", "--method=telea", "--no-verify", "--no-flow", "-q", "--max-failures=100%")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cleanplate-soak-") as place:
        soak = Soak(Path(place), random.Random(given.seed))
        print(json.dumps(soak.account_of(given.pictures, given.faults), indent=2))


@dataclass
class Soak:
    """A folder `in` with `masks`, a target `out` that is badly treated, and how its runs ended."""

    place: Path
    dice: random.Random
    met: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)  # endings that a fault does not excuse, with the run's last line
    by_hand: set[str] = field(default_factory=set)

    def account_of(self, pictures: int, faults: int) -> dict:
        """What is lost after so many faults."""
        began = time.monotonic()
        for number in range(pictures):
            put_where_it_fits(self.place, name_of(number), number)
        self.originals = originals(self.place, [name_of(number) for number in range(pictures)])
        precious = state_of(self.originals)
        each = self._points_of_one()
        for _ in range(faults):
            self._one_fault(self.dice.randrange(1, max(2, 2 * each * pictures // faults)))
            if state_of(self.originals) != precious:
                self.wrong.append("the originals behind a link were touched")
                precious = state_of(self.originals)
            self._meddle()
        ended = self._clean("out", Fault("peace", signal.SIGKILL, (0, 1)), 0)
        self._clean("peace", Fault("peace", signal.SIGKILL, (0, 1)), 0)
        return self._account() | {
            "pictures": len(rows(self.place / "peace")),
            "faults": faults,
            "met": dict(sorted(self.met.items())),
            "endings that no fault excuses": self.wrong,
            "last run ended with": ended,
            "seconds": round(time.monotonic() - began),
        }

    def _one_fault(self, at: int) -> None:
        """A run with something that befalls it in the middle, or a link that was there before."""
        led = Led.somewhere(self.place / "out", self.originals, self.dice)
        what = self.dice.choice([*FAULTS, PAUSED, led_away(led), "link before"])
        if isinstance(what, Fault):
            self._clean("out", what, at)
        else:
            led.plant()
            self._clean("out", Fault(what, signal.SIGKILL, (2,)), 0)
        led.undo()

    def _clean(self, target: str, fault: Fault, at: int) -> int:
        ended = self._run("in", "masks", target, at, fault.at_a_point, *fault.flags)
        if fault.name != "peace":
            self.met[f"{fault.name}, ended with {ended}"] += 1
        if ended not in fault.endings:
            self.wrong.append(f"{fault.name}: {ended}: {(self.place / 'log').read_text(errors='replace')[-400:]}")
        return ended

    def _run(self, source: str, masks: str, target: str, at: int, by: By, *more: str) -> int:
        source, masks, target = (str(self.place / name) for name in (source, masks, target))
        command = ("run", source, target, "--masks", masks, *SETTINGS, *more)
        return killed(self.place / "log", command, at, by, imported="flows.run")

    def _points_of_one(self) -> int:
        """About how many points a picture's work has."""
        for number in range(100):
            put(self.place / "few", f"p{number}.png", number)
        self._run("few/in", "few/masks", "few/out", 0, signal.SIGKILL)
        return points(self.place / "log") // 100

    def _meddle(self) -> None:
        """What people do to the folders between two runs."""
        there = sorted(path for path in (self.place / "in").rglob("*.png") if path.is_file())
        results = sorted(path for path in (self.place / "out" / "images").rglob("*.png") if path.is_file())
        deed = self.dice.choice(["break", "replace", "add", "delete", "correct"])
        if deed == "break":
            self.dice.choice(there).write_bytes(self.dice.choice(BROKEN))
        elif deed == "replace":
            self.dice.choice(there).write_bytes(encode_image(image(self.dice.randrange(10**6))))
        elif deed == "add":
            put_where_it_fits(self.place, name_of(self.dice.randrange(10**5, 10**6)), self.dice.randrange(10**6))
        elif results and deed == "delete":
            self.dice.choice(results).unlink()
        elif results:
            name = self.dice.choice(results).relative_to(self.place / "out" / "images").as_posix()
            if (self.place / "out" / "masks" / f"{name}.png").is_file():
                (self.place / "out" / "masks" / f"{name}.png").write_bytes(encode_mask(mask(3, 4, 5, 6)))
                self.by_hand.add(name)

    def _account(self) -> dict:
        """How the target stands beside one that was made in peace from the same pictures."""
        found, told = rows(self.place / "out"), rows(self.place / "peace")
        there = {path.relative_to(self.place / "in").as_posix() for path in (self.place / "in").rglob("*.png")}
        aside = {name for name, row in found.items() if "process died" in (row["reason"] or "")}
        mine = {name for name, row in found.items() if row["segmenter"] == "by hand"}
        files, wanted = delivered(self.place / "out"), delivered(self.place / "peace")
        own = {f"images/{name}" for name in mine | aside} | {f"masks/{name}.png" for name in mine | aside}
        return {
            "lost (no row)": sorted(there - set(found)),
            "too many (a row and no picture)": sorted(set(found) - there),
            "corrupted (another file than in peace)": sorted(
                name for name in {*files, *wanted} - own if files.get(name) != wanted.get(name)
            ),
            "ended otherwise than in peace": sorted(
                name
                for name in there & set(found) - mine - aside
                if (found[name]["status"], found[name]["reason"]) != (told[name]["status"], told[name]["reason"])
            ),
            "half-written files": len(list((self.place / "out").rglob("*.part"))),
            "links left in the target": sum(path.is_symlink() for path in (self.place / "out").rglob("*")),
            "set aside": sorted(aside),
            "masks corrected by hand": len(mine),
            "of these unknown": sorted(mine - self.by_hand),
            "odd names": dict(Counter(found[name]["status"] for name in ODD if name in found)),
            "statuses": dict(Counter(row["status"] for row in found.values())),
        }


def put_where_it_fits(place: Path, name: str, number: int) -> None:
    """One more picture, with its mask where the folder of masks can hold one of that name."""
    try:
        put(place, name, number)
    except OSError:
        if not (place / "in" / name).is_file():
            raise


if __name__ == "__main__":
    main()
