"""The lock of a target in a store: an object that only one run can make, renewed for as long as that run lives."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from typing import Any

from flows.errors import EnvironmentFault
from flows.ledger.lock import Busy
from flows.places.bucket import Bucket

RENEWED_EVERY = 60.0  # seconds
STALE_AFTER = 15 * 60.0  # seconds without a renewal; clocks of two machines may differ by some minutes
HELD: set[str] = set()  # by runs of this process
PROCESS = uuid.uuid4().hex  # tells this process from an earlier one of its number, as in a container that restarts


class Lease:
    """Held until `release`. A machine that died leaves its lease behind; after `STALE_AFTER` seconds it is void."""

    def __init__(self, bucket: Bucket, name: str):
        """Raises Busy when another run has it."""
        self.bucket, self.name = bucket, name
        self.run = uuid.uuid4().hex
        self.lost = False
        try:
            self._make()
        except FileExistsError:
            self._take_over()
        HELD.add(self.run)
        self._ended = threading.Event()
        self._renewing = threading.Thread(target=self._renew, daemon=True)
        self._renewing.start()

    def check(self) -> None:
        """Raises EnvironmentFault when another run took this for dead and went on in its place."""
        if self.lost:
            raise EnvironmentFault(f"another run took over {self.bucket.url}, since this one was silent too long")

    def release(self) -> None:
        """Let the next run have it at once."""
        self._ended.set()
        self._renewing.join()
        HELD.discard(self.run)
        if not self.lost:
            self.bucket.remove(self.name)

    def _make(self) -> None:
        self.bucket.create(self.name, self._words())

    def _take_over(self) -> None:
        try:
            holder = json.loads(self.bucket.read(self.name))
        except (FileNotFoundError, ValueError):
            holder = {}
        if not _is_void(holder):
            where = f"{holder.get('host')}, process {holder.get('pid')}"
            raise Busy(f"another run ({where}) is working on {self.bucket.url}; wait for it, or choose another target")
        self.bucket.remove(self.name)
        try:
            self._make()
        except FileExistsError as error:
            raise Busy(f"another run has just begun on {self.bucket.url}; wait for it") from error

    def _words(self) -> bytes:
        return json.dumps(
            {
                "run": self.run,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "process": PROCESS,
                "renewed": time.time(),
            }
        ).encode()

    def _renew(self) -> None:
        while not self._ended.wait(RENEWED_EVERY):
            try:
                if json.loads(self.bucket.read(self.name)).get("run") != self.run:
                    self.lost = True
                    return
                self.bucket.write(self.name, self._words())
            except (OSError, ValueError, EnvironmentFault):
                continue  # a store may be away for a while; the next picture's own request says so


def _is_void(holder: dict[str, Any]) -> bool:
    """Whether nobody stands behind a lease: its process on this machine is gone, or it was not renewed for long."""
    if holder.get("host") == socket.gethostname() and isinstance(holder.get("pid"), int):
        if holder["pid"] == os.getpid():
            return holder.get("process") != PROCESS or holder.get("run") not in HELD
        return not _lives(holder["pid"])
    return time.time() - float(holder.get("renewed") or 0) > STALE_AFTER


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is somebody else's
        pass
    return True
