"""Code that a job names, a segmenter `module:function`. Only this process's own command line may name it.

A job file, a flow's parameters, a target's job.toml and a redo's remembered settings are data, which may come from
anybody; running the code that they name would turn each into a program.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.errors import UsageError

_NAMED: set[str] = set()


def _is_code(name: str) -> bool:
    from masks.segmenters import is_code  # takes 0.1 s, too long for a verb's --help

    return is_code(name)


def _in_words(segmenter: str) -> str:
    from masks.segmenters import nearest

    return f"the segmenter {segmenter} is none of the table, but names code{nearest(segmenter)}"


def named_by_hand(given: Mapping[str, Any]) -> None:
    """Note the code that the flags of a command line name. Nothing else may call this."""
    name = given.get("segmenter", "")
    if _is_code(name):
        _NAMED.add(name)


def refuse_unnamed(segmenter: str) -> None:
    """Raises UsageError for a segmenter that is code, unless the command line named it."""
    if _is_code(segmenter) and segmenter not in _NAMED:
        raise UsageError(
            f"{_in_words(segmenter)}; code is never run from a job file, a flow's parameters or an earlier run's "
            f"settings: add --segmenter {segmenter} to this command"
        )


def refuse_in_flow(segmenter: str, instead: str = "run it from the command line with --no-flow") -> None:
    """Raises UsageError for a segmenter that is code: a flow's parameters may come from anybody on its server."""
    if _is_code(segmenter):
        raise UsageError(f"{_in_words(segmenter)}, which the parameters of a flow may not; {instead}")
