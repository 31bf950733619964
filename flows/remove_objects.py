"""The Prefect flow `remove-objects`: the job of flows/job.py, with its two steps as tasks. Holds no state."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import State
from prefect.states import Completed, Failed
from pydantic import Field
from pydantic.fields import FieldInfo

from flows import cards, job
from flows import find_masks as finding
from flows import remove_masked as removing
from flows.faults import TooManyFailures
from flows.records import Job, Outcome, parameters


@task(name="find-masks", cache_policy=NO_CACHE, persist_result=False)
def find_masks(settings: Job, names: list[str]) -> list[Outcome]:
    """The masks of one shard of pictures. Names go in and rows come out; pictures stay in their folders."""
    return finding.find_masks(settings, names)


@task(name="remove-masked", cache_policy=NO_CACHE, persist_result=False)
def remove_masked(settings: Job, masked: list[Outcome]) -> list[Outcome]:
    """The removal for one shard of pictures whose masks are written."""
    return list(removing.remove_masked(settings, masked))


def _annotation(name: str, about: FieldInfo) -> Any:
    """A parameter's type with its limits and description, as the form and `deployment run -p` check them."""
    kind = str | list[str] if about.annotation == list[str] else about.annotation  # `-p text=person` is a string
    return Annotated[kind, Field(description=about.description), *about.metadata]


def _remove_objects(**given: Any) -> State:
    """Remove what a text, point, box or mask names from every picture of a folder. Resumes by itself."""
    settings = Job(**given)
    watch = RunLog()
    try:
        summary = job.run(settings, watch, _find, _remove)
    except TooManyFailures as error:
        _report(settings)
        return Failed(message=str(error))
    _report(settings)
    counts = ", ".join(f"{count} {status}" for status, count in sorted(summary.counts.items()))
    if summary.exit_code:
        return Completed(name="Partial", message=counts)
    return Completed(message=counts if summary.tried else f"nothing to do: {counts}")


_remove_objects.__signature__ = inspect.Signature(parameters(_annotation))  # type: ignore[attr-defined]
remove_objects = flow(name="remove-objects", flow_run_name="clean {source}", persist_result=False)(_remove_objects)


def _find(settings: Job, names: list[str]) -> list[Outcome]:
    return find_masks(settings, names) if names else []


def _remove(settings: Job, masked: list[Outcome]) -> Iterable[Outcome]:
    return remove_masked(settings, masked) if masked else []


class RunLog:
    """Watches a run: failures to the run's log, progress to an artifact."""

    def __init__(self) -> None:
        self.log = get_run_logger()
        self.total = self.done = 0
        self.artifact: Any = None

    def begin(self, total: int, finished: int) -> None:
        self.total = total
        self.log.info("%d pictures to do, %d finished already", total, finished)
        if total:
            self.artifact = create_progress_artifact(0.0, key="removal-progress", description="pictures done")

    def did(self, outcome: Outcome) -> None:
        self.done += 1
        if outcome.status == "failed":
            self.log.warning("failed: %s: %s", outcome.source, outcome.reason)
        if self.artifact and (self.done % job.SHARD == 0 or self.done == self.total):
            update_progress_artifact(self.artifact, 100 * self.done / self.total)

    def say(self, message: str) -> None:
        self.log.info(message)


def _report(settings: Job) -> None:
    """A table of counts, and a summary with the first ten failures and the command to repeat."""
    counts, failures = cards.standing(Path(settings.target).expanduser())
    create_table_artifact([{"status": s, "pictures": n} for s, n in sorted(counts.items())], key="removal-summary")
    worst = "\n".join(f"- `{row['source']}`: {row['reason']}" for row in failures[:10]) or "None failed."
    command = (
        f"cleanplate run {shlex.quote(settings.source)} {shlex.quote(settings.target)} --job {settings.target}/job.toml"
    )
    create_markdown_artifact(
        f"# {settings.source} → {settings.target}\n\n{worst}\n\nAgain: `{command}`", key="removal-report"
    )
