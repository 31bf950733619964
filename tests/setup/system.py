"""What set-up needs of the system and pip cannot bring: OpenCV's libraries, and the browser that the tests drive.

`python3 tests/setup/system.py libraries|browser` looks for it, and installs it where it may: as root, with apt-get.
Nothing but the standard library is imported, since it runs before anything is downloaded.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

LIBRARIES = ("libGL.so.1", "libgthread-2.0.so.0", "libxcb.so.1")
DRIVER = "libatomic.so.1"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LOG = Path(tempfile.gettempdir()) / "cleanplate-apt-get.log"


def missing_libraries() -> str | None:
    """The first library that OpenCV's wheel needs and this Linux lacks."""
    if sys.platform != "linux":
        return None
    return next((name for name in LIBRARIES if not _loads(name)), None)


def browser() -> str | None:
    """The path of a Chromium: the one that CHROMIUM names, or one on the PATH."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)


def missing_browser() -> str | None:
    """Chromium, or the library that Playwright's driver needs beside it (Debian 12's Chromium does not bring it)."""
    if not browser():
        return "a Chromium, in which the pages are tested,"
    return DRIVER if sys.platform == "linux" and not _loads(DRIVER) else None


NEEDS: dict[str, tuple[Callable[[], str | None], list[str]]] = {
    "libraries": (missing_libraries, ["libgl1", "libglib2.0-0"]),
    "browser": (missing_browser, ["chromium", "fonts-dejavu-core", "libatomic1"]),
}


def ensure(need: str) -> str | None:
    """Install what is missing, where we may. Returns what to do by hand where it is missing still."""
    missing, packages = NEEDS[need]
    if not missing():
        return None
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"installing {' and '.join(packages)} with apt-get (log: {LOG})", flush=True)
        _apt_get("update")
        _apt_get("install", "--yes", "--no-install-recommends", *packages)
    what = missing()
    return what and f"{what} is missing: {_by_hand(packages)}"


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _apt_get(*arguments: str) -> None:
    """Its failure shows in what is missing afterwards."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with LOG.open("ab") as log:
        subprocess.run(["apt-get", "-q", *arguments], env=environment, stdout=log, stderr=subprocess.STDOUT)


def _by_hand(packages: list[str]) -> str:
    if not shutil.which("apt-get"):
        return f"install what Debian calls {' and '.join(packages)}, then run the same command again"
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get install -y --no-install-recommends {' '.join(packages)}"


if __name__ == "__main__":
    sys.exit(ensure(sys.argv[1]))
