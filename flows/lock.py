"""One run at a time on a target: a lock that the kernel frees when its process dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class Busy(Exception):
    """Another run holds the target."""

    code = 75


def take(file: Path, only_look: bool = False) -> int:
    """Lock a file, made if need be, and return its descriptor; closing that frees the lock.

    Raises Busy when another process has it. With `only_look` nothing is made; -1 stands for no file.
    """
    flags = os.O_RDONLY if only_look else os.O_RDWR | os.O_CREAT
    try:
        lock = os.open(file, flags, 0o644)
    except FileNotFoundError:
        if only_look:
            return -1
        raise
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        target = file.parent.parent
        raise Busy(f"another run is working on {target}; wait for it, or choose another target") from error
    return lock


def free(lock: int) -> None:
    if lock >= 0:
        os.close(lock)
