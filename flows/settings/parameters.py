"""Job's fields as parameters of a function, for the command line and the flow."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from pydantic.fields import FieldInfo

from flows.job import Job


def parameters(annotate: Callable[[str, FieldInfo], Any]) -> list[inspect.Parameter]:
    """Job's fields as parameters of a function: source and target first, the rest by keyword.

    `annotate(name, field)` returns a parameter's annotation, since the command line and the flow annotate the same
    settings differently.
    """
    made = []
    for name, about in Job.model_fields.items():
        place = name in ("source", "target")
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD if place else inspect.Parameter.KEYWORD_ONLY
        default = inspect.Parameter.empty if place else about.get_default()
        made.append(inspect.Parameter(name, kind, default=default, annotation=annotate(name, about)))
    return made
