"""How verbs speak: data on stdout, talk on stderr; and what an error is to a user."""

from __future__ import annotations

import json
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console

TALK = Console(stderr=True, soft_wrap=True, highlight=False)
Json = Annotated[bool, Parameter(help="one JSON object on stdout", negative=(), show_default=False)]


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


def code_of(error: Exception) -> int | None:
    """The exit code of an error that a user can mend; None for one that is ours."""
    if isinstance(error, ImportError):
        return 3
    return getattr(error, "code", 2 if isinstance(error, (ValueError, FileNotFoundError)) else None)


def words_of(error: Exception) -> str:
    """What to say of such an error."""
    if isinstance(error, ImportError) and "lib" in str(error):
        from flows.doctor import OPENCV_FIX

        return f"{error}\nOpenCV needs system libraries: {OPENCV_FIX}"
    return str(error)
