"""A job from a TOML file and from flags. Errors name the file or the flag, the key and the nearest valid one."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from typing import Any

from pydantic import ValidationError

from flows.errors import UsageError
from flows.job import Job
from flows.messages.nearest import name_beside, path_beside
from flows.settings.paths import local_path


def job_of(file: str, given: dict[str, Any]) -> Job:
    """The job of a file ("": none) and of the given settings, which win. Raises UsageError."""
    read = read_job_file(file) if file else {}
    try:
        return Job(**(read | given))
    except ValidationError as error:
        raise UsageError(complaints(error, file, set(read) - set(given))) from error


def read_job_file(file: str) -> dict[str, Any]:
    """The settings in a job file. Raises UsageError for invalid TOML and for unknown keys."""
    path = local_path(file)
    if not path.is_file():
        raise UsageError(f"there is no job file at {path}{path_beside(path)}")
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is not TOML: {error}; a line of it is such as steps = 30") from error
    unknown = [f"{path}: unknown key {key!r}{_instead(key)}" for key in read if key not in Job.model_fields]
    if unknown:
        raise UsageError("\n".join(unknown))
    return read


def _instead(key: str) -> str:
    return name_beside(key.replace("-", "_"), Job.model_fields) or "; `cleanplate schema` lists them"


def complaints(error: ValidationError, file: str = "", of_file: Collection[str] = ()) -> str:
    """Pydantic's complaints, one a line, about the key of the file or the flag that caused them."""
    lines = []
    for problem in error.errors():
        words = problem["msg"].removeprefix("Value error, ").replace("Input should", "should")
        if problem["loc"]:
            key = str(problem["loc"][0])
            expected = problem.get("ctx", {}).get("expected", "").replace("'", "").replace(" or ", ", ")
            place = f"{file}: {key}" if key in of_file else f"--{key.replace('_', '-')}"
            words = f"{place}: {words}{name_beside(str(problem['input']), expected.split(', '))}"
        lines.append(words)
    return "\n".join(lines)
