"""The ledger of a target in a store: SQLite needs a disk, so it is copied here, and back at intervals."""

from __future__ import annotations

import contextlib
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread

from flows.errors import EnvironmentFault
from flows.ledger import lock
from flows.ledger.lease import Lease
from flows.ledger.tables import LEDGER
from flows.places.bucket import GUARDS, Bucket
from flows.places.layout import PRIVATE
from flows.places.target import Target

LOCK = f"{PRIVATE}/lock"
TOKEN = f"{PRIVATE}/manifest.token"  # identifies the copy of the ledger in the store
EVERY = 60.0  # seconds between two copies; what a lost machine did since the last one is done again
SHARE = 20  # ... and copying takes at most one part in so many of the time


@contextmanager
def mirror(target: Target, only_look: bool = False) -> Iterator[None]:
    """Within this block, the ledger of a target in a store is at `target.root`, and the target is locked.

    For a target on this machine there is nothing to do. With `only_look` the target is not locked and nothing is copied
    back. Raises Busy when another run holds the target, EnvironmentFault when the store does not answer.
    """
    store = target.files
    if not isinstance(store, Bucket):
        yield
        return
    if only_look:
        held = lock.hold(target.root, only_look=True)  # a run on this machine is using the local copy
        try:
            _bring(store, target.root)
        finally:
            lock.free(held)
        yield
        return
    lease = Lease(store, LOCK)
    try:
        _bring(store, target.root)
        GUARDS[store.url] = lease.check
        with _copying(store, target.root):
            yield
        _take_back(store, target.root)
    finally:
        GUARDS.pop(store.url, None)
        lease.release()


def _bring(store: Bucket, place: Path) -> None:
    """Copy the store's ledger to `place`, unless the one there is newer: left by a run that died on this machine."""
    token = store.read(TOKEN).decode() if store.has(TOKEN) else None
    if token is not None and token == _token_of(place):
        return
    file = place / LEDGER
    file.parent.mkdir(parents=True, exist_ok=True)
    for old in file.parent.glob("manifest.sqlite*"):
        old.unlink()
    if store.has(LEDGER):
        file.write_bytes(store.read(LEDGER))


def _take_back(store: Bucket, place: Path) -> None:
    """Copy the ledger to the store, and then the token that identifies the copy."""
    token = uuid.uuid4().hex
    with closing(sqlite3.connect(place / LEDGER, timeout=60)) as ledger:
        with ledger:
            ledger.execute("insert or replace into facts values ('carried', ?)", (token,))
        with closing(sqlite3.connect(":memory:")) as whole:
            ledger.backup(whole)  # including its log
            data = whole.serialize()
    store.write(LEDGER, data)
    store.write(TOKEN, token.encode())


def _token_of(place: Path) -> str | None:
    if not (place / LEDGER).exists():
        return None
    with closing(sqlite3.connect(place / LEDGER)) as ledger, contextlib.suppress(sqlite3.Error):
        found = ledger.execute("select value from facts where key = 'carried'").fetchone()
        return found[0] if found else None
    return None


@contextmanager
def _copying(store: Bucket, place: Path) -> Iterator[None]:
    """Copy the ledger to the store at intervals, beside the work."""
    ended = Event()

    def copy() -> None:
        pause = EVERY
        while not ended.wait(pause):
            began = time.monotonic()
            with contextlib.suppress(EnvironmentFault, OSError, sqlite3.Error):  # the next copy may go; set by the work
                if (place / LEDGER).exists():
                    _take_back(store, place)
            pause = max(EVERY, SHARE * (time.monotonic() - began))

    copying = Thread(target=copy, daemon=True)
    copying.start()
    try:
        yield
    finally:
        ended.set()
        copying.join()
