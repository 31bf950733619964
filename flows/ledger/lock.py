"""One run at a time on a target: a lock that the kernel frees when its process dies.

By hand, since filelock can neither only look at a lock nor leave a target untouched that has none.
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
    """Lock a target for one run: descriptors to be freed. Shards hold it together, and each its own records alone.

    Raises Busy when another process has it; UsageError for who is not `merging` when there are shards to be merged.
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
    """True if the lock of a target is still the file that was locked; -1 stands for none."""
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
    """Lock a folder by a file in it, made if need be; with `only_look` nothing is made, and -1 stands for no file."""
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
