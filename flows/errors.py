"""Errors that end a run, and their exit codes. One picture's trouble is an Outcome instead."""

from __future__ import annotations

import errno
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from flows.threads.watchdog import extend_deadline
from removal.weights.cache import NoHome

Made = TypeVar("Made")

ENVIRONMENT = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM, errno.ESTALE}
)


class Stop(Exception):
    """An error that ends a run, with its exit code. A `code` of other libraries' errors means something else."""

    code: int


class UsageError(Stop, ValueError):
    """The request cannot be carried out; nothing was touched."""

    code = 2


class EnvironmentFault(Stop):
    """The machine, not a picture, is at fault: the run stops, no picture is marked failed, the same command resumes."""

    code = 3


class TooManyFailures(Stop):
    """More pictures failed than `max_failures` allows; the same command resumes."""

    code = 4


class Obstructed(ValueError):
    """Something of somebody else's is where a folder or a file of ours belongs."""


class LedAway(Obstructed):
    """A link leads out of the target where a folder of ours belongs."""


def pip() -> str:
    """The command for this environment's pip: a plain `pip` may be another environment's, or missing."""
    own = Path(sys.executable)
    if shutil.which("python") == str(own):  # this environment is active
        return "python -m pip"
    near = own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own
    return f"{shlex.quote(str(near))} -m pip"


def raise_if_environment(error: BaseException) -> None:
    """Raises EnvironmentFault for errors such as a full disk. Not by class, since bad pictures raise OSError too."""
    if isinstance(error, RuntimeError) and str(error).startswith("CUDA error"):  # any but the one for too little memory
        raise EnvironmentFault(f"the GPU stopped working: {error}; then run the same command") from error
    if isinstance(error, LedAway):  # it was missing when the run began, and concerns all pictures
        raise EnvironmentFault(f"{error}, then run the same command again") from error
    if isinstance(error, NoHome):
        raise EnvironmentFault(str(error)) from error
    if isinstance(error, OSError) and error.errno in ENVIRONMENT:
        raise EnvironmentFault(f"{error.strerror} ({error.filename}); fix that, then run the same command") from error


def raise_if_moved(error: BaseException) -> None:
    """Raises EnvironmentFault for a file that was removed, or has got in the way, during the run."""
    if isinstance(error, BrokenPipeError) or not isinstance(error, (OSError, Obstructed)):
        return
    if isinstance(error, FileNotFoundError):
        words = f"{error.filename or error} was moved or removed while the run went on"
    else:
        words = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
    raise EnvironmentFault(f"{words}; fix that, then run the same command again") from error


def each(work: Callable[..., list[Made]], *columns: list) -> list[Made | Exception]:
    """Call `work` on the columns of all rows at once; if that fails, row by row, so that only faulty rows fail."""
    extend_deadline(len(columns[0]))
    try:
        return list(work(*columns))
    except Exception as error:
        raise_if_environment(error)
        if len(columns[0]) == 1:
            return [error]
    return [each(work, *([value] for value in row))[0] for row in zip(*columns, strict=True)]
