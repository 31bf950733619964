"""Kills the command line at a chosen point of its work: in a process of its own, forked where all is imported."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
LIMIT = 240  # seconds for one run on a busy machine


By = signal.Signals | int | Callable[[], None]
DISK_FULL = -1  # instead of a signal: from the point on, for a while, nothing can be opened


def killed(log: Path, arguments: tuple[str, ...], point: int, by: By, imported: str = "tests.flows.loaded") -> int:
    """The exit code of a command that gets a signal at its `point`th audit event (opening, renaming, ...); 0: never.

    Instead of a signal it may be something to call there, in the command's own process.
    """
    CONTEXT.set_forkserver_preload([imported])
    process = CONTEXT.Process(target=_run, args=(str(log), arguments, point, by))
    process.start()
    process.join(LIMIT)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(log.read_text())
    return process.exitcode


def points(log: Path) -> int:
    """How many points a command had that nobody killed."""
    return int(log.read_text().rsplit("points: ", 1)[1])


def _run(log: str, arguments: tuple[str, ...], point: int, by: By) -> None:
    from flows.cli import main as cli

    lines = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(lines, 1)
    os.dup2(lines, 2)
    sys.argv = ["cleanplate", *arguments]
    seen = [0]

    def look(event: str, _: tuple) -> None:
        seen[0] += 1
        if by == DISK_FULL:
            if point and point <= seen[0] < point + 50 and event == "open":
                raise OSError(errno.ENOSPC, "No space left on device")
        elif seen[0] == point:
            by() if callable(by) else os.kill(os.getpid(), by)

    sys.addaudithook(look)
    try:
        cli.main()
    finally:
        print(f"points: {seen[0]}", file=sys.stderr, flush=True)
