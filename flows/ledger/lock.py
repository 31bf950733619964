"""One run at a time on a target: a lock that the kernel frees when its process dies.

By hand, since filelock cannot look at a lock without taking it, nor leave a target without one untouched.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from flows.errors import Stop
from flows.ledger.shards import Shard, refuse_unmerged
from flows.places.layout import PRIVATE


class Busy(Stop):
    """Another run holds the target."""

    code = 75


def hold(target: Path, shard: Shard | None = None, only_look: bool = False, merging: bool = False) -> list[int]:
    """Lock a target for one run. Returns descriptors to `free`. Shards share it, and each locks its own records.

    Raises Busy if another process has it; UsageError if there are shards to merge, unless `merging`.
    """
    locks = [_take(target / PRIVATE, f"{target}", only_look, shared=shard is not None)]
    try:
        if shard:
            locks.append(_take(target / shard.records, f"shard {shard} of {target}", only_look))
        elif not merging:
            refuse_unmerged(target)
    except BaseException:
        free(locks)
        raise
    return locks


def is_held(target: Path, lock: int) -> bool:
    """True if a target's lock is still the file that was locked; -1 means no lock."""
    if lock < 0:
        return True
    try:
        return os.path.samestat(os.fstat(lock), os.stat(target / PRIVATE / "lock"))
    except FileNotFoundError:
        return False


def free(locks: list[int]) -> None:
    for lock in locks:
        if lock >= 0:
            os.close(lock)


def _take(place: Path, held: str, only_look: bool, shared: bool = False) -> int:
    """Lock a folder by a file in it, created if needed; with `only_look` nothing is created, and -1 means no file."""
    flags = os.O_RDONLY
    if not only_look:
        place.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    try:
        lock = os.open(place / "lock", flags, 0o644)
    except FileNotFoundError:
        if only_look:
            return -1
        raise
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise Busy(f"another run is working on {held}; wait for it, or choose another target") from error
    return lock
