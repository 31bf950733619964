"""Output of the verbs: data on stdout, messages on stderr; and errors as users see them."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import textwrap
from collections.abc import Callable
from typing import IO, Annotated, Any, cast

from cyclopts import Parameter
from pydantic import ValidationError
from rich.console import Console

from flows.cli.symptoms import fix_of
from flows.errors import Stop
from flows.messages.readable import readable
from flows.settings.job_file import complaints
from flows.threads.interrupts import Terminated
from removal.weights.cache import NoHome


class _Listener:
    """stderr, which may be closed, an unread pipe, or on a full disk: the work goes on without it."""

    def write(self, text: str) -> int:
        return self._told(lambda: sys.stderr.write(text)) or len(text)

    def flush(self) -> None:
        self._told(lambda: sys.stderr.flush())

    def isatty(self) -> bool:
        return bool(self._told(lambda: sys.stderr.isatty()))

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)

    def _told(self, how: Callable[[], Any]) -> Any:
        try:
            return how()
        except (OSError, ValueError, AttributeError):  # ValueError: closed; AttributeError: it never existed
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # otherwise the rest fails again at exit
        return None


TALK = Console(file=cast(IO[str], _Listener()), stderr=True, soft_wrap=True, highlight=False)
Json = Annotated[bool, Parameter(help="one JSON object on stdout", negative=(), show_default=False)]

NEXT, MEANT = "next: ", "did you mean: "
INTERRUPTED = "interrupted; the same command goes on from here"


def say(*lines: str) -> None:
    """Print a message: one line on a pipe; on a terminal wrapped between words, never within a long path."""
    TALK.print("\n".join(folded(readable(line)) for line in lines), markup=False, emoji=False)


def show(line: str, indent: int = 0) -> None:
    """Print data: one line on a pipe; on a terminal wrapped like messages, with a hanging indent."""
    print(_filled(readable(line), indent) if sys.stdout and sys.stdout.isatty() else readable(line))


def folded(message: str) -> str:
    return "\n".join(map(_filled, message.split("\n"))) if on_terminal() else message


def next_line(command: str) -> str:
    """How a verb ends that has something to type next."""
    return NEXT + command


def _filled(line: str, indent: int = 0) -> str:
    if line.startswith((NEXT, MEANT)):
        return line  # broken by the terminal alone, so that it can be copied and typed
    return textwrap.fill(
        line, TALK.width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )


def on_terminal() -> bool:
    """True on a terminal. Rich alone would also accept FORCE_COLOR, which CI sets on its pipes."""
    return TALK.file.isatty()


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


def code_of(error: BaseException) -> int | None:
    """The exit code of an error that a user can fix; None for a bug of ours."""
    if isinstance(error, KeyboardInterrupt):
        return 143 if isinstance(error, Terminated) else 130
    if isinstance(error, Stop):
        return error.code
    if isinstance(error, (ImportError, NoHome)):
        return 3
    return 2 if isinstance(error, (ValueError, FileNotFoundError)) else None


def lines_of(error: BaseException) -> list[str]:
    """The lines of a message about such an error. A file's name can break a line, but not begin one."""
    if isinstance(error, ValidationError):
        return complaints(error).split("\n")
    first, *others = words_of(error).split("\n")
    return [first, *(f"  {line.strip()}" for line in others)]


def words_of(error: BaseException) -> str:
    """The same as one text, unescaped."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, ValidationError):
        return complaints(error)
    fix = fix_of(str(error)) if code_of(error) == 3 else None
    return f"{error}\n{fix}" if fix else str(error)
