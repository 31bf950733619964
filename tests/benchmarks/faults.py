"""What befalls a run at a point of its work, for soak.py: signals, full disks, pauses, and links in its target."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.flows.killing import DISK_FULL

HANG_TIMEOUT = 1  # seconds for a picture; a run waits for a group of eight at most
PAUSE = 10  # seconds, longer than that
PLACES = ("images", "masks", ".cleanplate", "images/d3", "masks/d3", ".cleanplate/pending", ".cleanplate/report")


@dataclass(frozen=True)
class Fault:
    """One thing that happens to a run, and the exit codes that it may then end with."""

    name: str
    at_a_point: signal.Signals | int | Callable[[], None]
    endings: tuple[int, ...]
    flags: tuple[str, ...] = ()


FAULTS = (
    Fault("killed", signal.SIGKILL, (-9, 0, 1)),
    Fault("terminated", signal.SIGTERM, (143, 0, 1)),
    Fault("interrupted", signal.SIGINT, (130, 0, 1)),
    Fault("disk full", DISK_FULL, (3, 0, 1)),
)


def pause() -> None:
    """Stop this process for longer than --hang-timeout, as `docker pause` or a suspended machine does."""
    wake = f"sleep {PAUSE}; kill -CONT {os.getpid()}"
    os.posix_spawn("/bin/sh", ["sh", "-c", wake], os.environ)
    os.kill(os.getpid(), signal.SIGSTOP)


PAUSED = Fault("paused", pause, (0, 1), (f"--hang-timeout={HANG_TIMEOUT}",))


@dataclass(frozen=True)
class Led:
    """A place of a target that is moved away, and a link there that leads to somebody's originals."""

    place: Path
    to: Path
    kept: Path

    @classmethod
    def somewhere(cls, target: Path, originals: Path, dice: random.Random) -> Led:
        """A folder of a target, or one of its results."""
        results = [path.relative_to(target).as_posix() for path in (target / "images").rglob("*") if path.is_file()]
        place = dice.choice([*PLACES, dice.choice(sorted(results) or PLACES)])
        below = originals.joinpath(*Path(place).parts[1:])
        return cls(target / place, below if below.exists() else originals, target.with_name("kept"))

    def plant(self) -> None:
        self.place.parent.mkdir(parents=True, exist_ok=True)
        if self.place.exists():
            self.place.rename(self.kept)
        self.place.symlink_to(self.to)

    def undo(self) -> None:
        """Put back what was there; a result may have taken the place of a link in the meantime."""
        if self.place.is_symlink():
            self.place.unlink()
        if self.kept.is_dir():
            if self.place.exists():
                raise AssertionError(f"{self.place} was a link, and is a folder now")
            self.kept.rename(self.place)
        elif self.kept.exists() and not self.place.exists():
            self.kept.rename(self.place)
        else:
            self.kept.unlink(missing_ok=True)


def led_away(led: Led) -> Fault:
    """A link that appears in the target in the middle of a run."""
    return Fault("link within", partial(_planted, led), (3, 2, 0, 1))


def _planted(led: Led) -> None:
    with contextlib.suppress(OSError):  # the run has just taken that place away
        led.plant()


def originals(place: Path, names: list[str]) -> Path:
    """A folder of files of somebody's, called as those of a target are."""
    folder = place / "originals"
    ours = ("manifest.sqlite", "manifest.sqlite-wal", "manifest.sqlite-shm", "manifest.sqlite-journal", "lock")
    for name in (*names, *(f"{name}.png" for name in names), *(f"pending/{name}.png" for name in names), *ours):
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"precious " + os.fsencode(name))
        except OSError:  # a name too long, or that of a folder
            continue
    return folder


def state_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below a folder with its bytes and its time."""
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}
