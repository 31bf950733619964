"""The holder of a lease, as the lock object describes it, and a check that the holder is still alive."""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from pathlib import Path
from typing import Any

STALE_AFTER = 15 * 60.0  # seconds without a renewal; clocks of two machines may differ by some minutes
HELD: set[str] = set()  # held by runs of this process
PROCESS = uuid.uuid4().hex  # tells this process from an earlier one with its number, as in a restarted container

Holder = dict[str, Any]


def described(run: str) -> bytes:
    """The lock object of a run of this process, as of now."""
    whom = {"run": run, "host": socket.gethostname(), "pid": os.getpid(), "process": PROCESS}
    return json.dumps({**whom, **_machine(), "started": _started(os.getpid()), "renewed": time.time()}).encode()


def holder_of(data: bytes) -> Holder:
    """The holder that a lock object describes; empty for any other object."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def in_words(holder: Holder) -> str:
    return f"{holder.get('host')}, process {holder.get('pid')}"


def is_void(holder: Holder) -> bool:
    """True if a lease has no living holder: its process on this machine is gone, or it was not renewed for too long."""
    pid = holder.get("pid")
    if _is_here(holder) and isinstance(pid, int) and pid > 0:
        if pid == os.getpid():
            return holder.get("process") != PROCESS or holder.get("run") not in HELD
        return not _lives(pid, holder.get("started"))
    renewed = holder.get("renewed")
    if isinstance(renewed, bool) or not isinstance(renewed, (int, float)):
        return True
    # Stores refuse clients whose clocks are off this far, so a time that far in the future is no living run's either.
    return not abs(time.time() - renewed) <= STALE_AFTER  # NaN is neither more nor less than anything


def _is_here(holder: Holder) -> bool:
    """True if a holder's process is one of this machine's. Containers and cloned machines may share a host's name."""
    here = _machine()
    known = bool(here) and all(holder.get(key, value) == value for key, value in here.items())
    return known and holder.get("host") == socket.gethostname()


def _machine() -> dict[str, str]:
    """The kernel, its boot, and the namespace of process numbers; empty if that is unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return {"boot": boot, "pids": os.readlink("/proc/self/ns/pid")}
    except OSError:
        return {}


def _lives(pid: int, started: object) -> bool:
    """True if a process that began at this time still exists."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it is somebody else's
        pass
    now = _started(pid)
    return started is None or now is None or now == started


def _started(pid: int) -> str | None:
    """The start of a process, in ticks since boot: another process with its number began later."""
    try:
        after_its_name = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return after_its_name[19]  # field 22 of proc_pid_stat(5)
    except (OSError, IndexError):
        return None
