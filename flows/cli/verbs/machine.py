"""doctor, schema: what this machine can do, and what a job file may say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.cli.verbs.talk import print_json, show

MARKS = {True: "ok  ", False: "FIX ", None: "MISS"}


def doctor(target: Path = Path()) -> int:
    """Check the machine, and whether TARGET could hold a result: each problem with its fix."""
    from flows.cli.doctor import examine

    problems = 0
    for name, ok, words in examine(target):
        show(f"{MARKS[ok]} {name}: {words}", indent=5)
        problems += ok is False
    return 3 if problems else 0


def schema(
    *, start: Annotated[bool, Parameter(negative=(), show_default=False, help="print a job file to start from")] = False
) -> None:
    """JSON Schema of the job file, for editors that complete TOML, or with --start such a file."""
    from flows.cli.schema import job_schema, job_to_start_from

    if start:
        print(job_to_start_from())
    else:
        print_json(job_schema())
