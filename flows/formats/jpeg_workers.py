"""The processes that write JPEG coefficients: started when needed, kept for the next picture, replaced when one dies.

A file that makes libjpeg end or crash its process costs that picture its splice and nothing else.
"""

from __future__ import annotations

import atexit
import functools
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ctypes.util import find_library
from importlib.util import find_spec
from pathlib import Path
from threading import BoundedSemaphore, Timer
from typing import BinaryIO, cast

from flows.formats.jpeg_worker import ANSWER

PATIENCE = 120  # seconds for one picture; a hundred megapixels take one
START = "import sys; sys.path.insert(0, sys.argv[1]); from flows.formats.jpeg_worker import serve; serve(sys.argv[2])"
BROUGHT_BY = ("PIL", "torchvision")  # packages whose wheels hold a libjpeg-turbo
AT_ONCE = BoundedSemaphore(os.cpu_count() or 1)

_idle: list[_Worker] = []


class Unspliceable(Exception):
    """The coefficients of a JPEG cannot be kept; the message says why."""


def ask(request: bytes) -> bytes:
    """A worker's answer to a request: a JPEG. Raises Unspliceable with its reason, or if no worker can be started."""
    with AT_ONCE, _worker() as worker:
        return worker.ask(request)


@functools.cache
def library() -> str | None:
    """Path of the libjpeg-turbo to use: the one that Pillow decodes with, else torchvision's or the system's."""
    for package in BROUGHT_BY:
        spec = find_spec(package)
        here = Path(spec.origin).parent if spec and spec.origin else Path()
        for place in (here.parent / f"{'pillow' if package == 'PIL' else package}.libs", here / ".dylibs"):
            if found := sorted(place.glob("libjpeg[.-]*")):
                return str(found[0])
    return find_library("jpeg")


class _Worker:
    """A process that answers one request at a time."""

    def __init__(self, turbo: str) -> None:
        root = str(Path(__file__).parents[2])
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-P", "-c", START, root, turbo],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.asked, self.answers = cast(BinaryIO, self.process.stdin), cast(BinaryIO, self.process.stdout)

    def ask(self, request: bytes) -> bytes:
        late = Timer(PATIENCE, self.process.kill)
        late.daemon = True
        late.start()
        try:
            with suppress(BrokenPipeError):  # a process that ended early may have said why
                self.asked.write(request)
                self.asked.flush()
            well, length = ANSWER.unpack(self.answers.read(ANSWER.size))
            content = self.answers.read(length)
            if len(content) < length:
                raise EOFError
        except (OSError, EOFError, struct.error) as error:
            raise Unspliceable(f"the process that writes its coefficients ended ({self.end()})") from error
        finally:
            late.cancel()
        if not well:
            raise Unspliceable(content.decode(errors="replace"))
        return content

    def end(self) -> str:
        """End the process. Returns how it ended if it had ended by itself."""
        for pipe in (self.asked, self.answers):
            with suppress(OSError):  # a request that it did not live to read
                pipe.close()
        try:
            code = self.process.wait(1)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"


@contextmanager
def _worker() -> Iterator[_Worker]:
    """An idle worker, or a new one. A worker that failed is not used again."""
    turbo = library()
    if turbo is None:
        raise Unspliceable("no libjpeg-turbo was found; `cleanplate doctor` says where it was looked for")
    try:
        worker = _idle.pop()
    except IndexError:
        worker = _Worker(turbo)
    try:
        yield worker
    except BaseException:
        worker.end()
        raise
    _idle.append(worker)


@atexit.register
def end_all() -> None:
    """End every worker; the next picture starts one again."""
    while _idle:
        _idle.pop().end()


os.register_at_fork(after_in_child=_idle.clear)  # two processes must not ask the same worker
