"""The Prefect flow `remove-objects`: the job of flows/run.py, with its two steps as tasks. Stateless."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, TypeVar, get_args, get_origin

from prefect import flow, get_run_logger, task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import State
from prefect.runtime import deployment
from prefect.states import Cancelled, Completed, Failed
from pydantic import Field, ValidationError, WithJsonSchema
from pydantic.fields import FieldInfo

from flows import run as job
from flows.deploy import ray_cluster as cluster
from flows.deploy.library_log import passed_on
from flows.errors import Stop, TooManyFailures, UsageError
from flows.job import PATHS, Job
from flows.ledger.shards import parse_shard, records_of
from flows.messages.readable import as_code, as_markdown, readable
from flows.outcome import Outcome
from flows.places.one_file import records_place
from flows.portions import Steps
from flows.records import card as cards
from flows.settings.own_code import refuse_in_flow
from flows.settings.parameters import parameters
from flows.steps import find_masks as finding
from flows.steps import remove_masked as removing
from flows.threads.run_in_thread import run_in_thread
from removal.weights.cache import NoHome

Flowing = TypeVar("Flowing", bound=Callable[..., Any])
IN_THREAD: Any = {"_sync": True}  # for calls that Prefect would take for async ones, since the flow is async
NEEDED = ("source", "target")
WHOLE_PATH = r"^(/|~|file:/|[\w.+-]+://)"  # shown by Prefect as an error, with Rich's markup
FLAG = re.compile(r"(?<![\w-])--([a-z][a-z_-]*)")
SECONDS_TO_STOP = 20.0  # seconds of the thirty before a worker kills a cancelled run


@task(name="find-masks", cache_policy=NO_CACHE, persist_result=False)
def find_masks(settings: Job, names: list[str]) -> list[Outcome]:
    """The masks of some pictures. Names go in and rows come out; pictures stay in their folders."""
    return finding.find_masks(settings, names)


@task(name="remove-masked", cache_policy=NO_CACHE, persist_result=False)
def remove_masked(settings: Job, masked: list[Outcome]) -> list[Outcome]:
    """The removal for some pictures whose masks are written."""
    return list(removing.remove_masked(settings, masked))


def takes_a_job(function: Flowing) -> Flowing:
    """Make every field of Job a parameter, with its type, default, limits and description."""
    listed = "\n".join(f"    {name}: {about.description}" for name, about in Job.model_fields.items())
    function.__doc__ = f"{function.__doc__}\n\nArgs:\n{listed}"  # where Prefect looks for descriptions
    function.__signature__ = inspect.Signature(parameters(_annotation))  # type: ignore[attr-defined]
    return function


def _annotation(name: str, about: FieldInfo) -> Any:
    """A parameter's type with its limits, as Prefect's form and `deployment run -p` check them."""
    kind = about.annotation
    if get_origin(kind) is list:
        kind = get_args(kind)[0] | kind  # `-p text=person` is a string
    if name in PATHS:  # only in the form: a direct call of the flow may give a relative path
        pattern = WHOLE_PATH if name in NEEDED else f"{WHOLE_PATH}|^$"
        return Annotated[kind, Field(), WithJsonSchema({"type": "string", "pattern": pattern})]
    return Annotated[kind, Field(), *about.metadata]


@flow(name="remove-objects", flow_run_name="clean {source}", persist_result=False, task_runner=cluster.task_runner())
@takes_a_job
async def remove_objects(source: str, target: str, **rest: Any) -> State:
    """Remove what a text, point, box or mask names from every picture of a folder. Resumes by itself."""
    try:
        settings = Job(source=source, target=target, **rest)
        refuse_relative_paths(settings)
        refuse_in_flow(settings.segmenter)
        # Async, since Prefect waits for a second at the end of a flow that is not.
        return await run_in_thread(lambda: _clean(settings), SECONDS_TO_STOP)
    except (Stop, ValueError, FileNotFoundError, ImportError, NoHome) as error:
        if not deployment.id:  # callers get the error itself
            raise
        get_run_logger().debug("the run ended by", exc_info=True)
        return Failed(message=as_parameters(error, {"source": source, "target": target} | rest))


def as_parameters(error: Exception, given: Mapping[str, Any] = MappingProxyType({})) -> str:
    """The reasons why a run failed, one a line, as flags of `prefect deployment run`; `given` are its parameters."""
    lines = str(error).split("\n")
    if isinstance(error, ValidationError):
        found = [(".".join(map(str, one["loc"][:1])), one["msg"]) for one in error.errors()]
        lines = [f"--{name}: {words}" if name else words for name, words in found]
    elif isinstance(error, (UsageError, ValueError, FileNotFoundError)):
        lines[0] = _of_whom(lines[0], given)
    return "\n".join(FLAG.sub(_as_parameter, readable(line.replace("Value error, ", ""))) for line in lines)


def _of_whom(line: str, given: Mapping[str, Any]) -> str:
    """A line that begins with the parameter that it is about."""
    spoken_of = [name for name in PATHS if "/" in str(given.get(name)) and str(given[name]) in line]
    name = max(spoken_of, key=lambda name: len(str(given[name])), default="")
    return f"-p {name}={given[name]}: {line}" if name else line


def _as_parameter(flag: re.Match[str]) -> str:
    name = flag[1].replace("-", "_")
    return f"-p {name}=…" if name in Job.model_fields else flag[0]


def _clean(settings: Job) -> State:
    try:
        with passed_on(get_run_logger()):
            summary = job.run(settings, RunLog(), Steps(_find, _remove, cluster.at_once()))
    except TooManyFailures as error:
        _report(settings)
        return Failed(message=readable(str(error)))
    _report(settings)
    counts = cards.in_words(summary.counts, summary.doubtful)
    if summary.interrupted:
        return Cancelled(message=f"interrupted; the same run goes on from here: {counts}")
    message = counts if summary.tried else f"nothing to do: {counts}"
    return Completed(name="Partial" if summary.exit_code else None, message=message)


def refuse_relative_paths(settings: Job) -> None:
    """Raises UsageError for relative paths: a worker starts runs in temporary folders, which are removed afterwards."""
    for name in sorted(PATHS):
        path = getattr(settings, name)
        if deployment.id and path and "://" not in path and not Path(path).expanduser().is_absolute():
            raise UsageError(f"{name}: a deployment needs the whole path, such as /data/{path}, not {path!r}")


def _find(settings: Job, names: list[str]) -> list[Outcome]:
    return _told(find_masks, settings, names) if names else []


def _remove(settings: Job, masked: list[Outcome]) -> Iterable[Outcome]:
    return _told(remove_masked, settings, masked) if masked else []


def _told(step: Any, settings: Job, some: list) -> list[Outcome]:
    """A step that runs here, or on a GPU of the cluster if there is one."""
    if not cluster.asked_for():
        return step(settings, some)
    with cluster.one_gpu():
        return step.submit(settings, some).result()


class RunLog:
    """Watches a run: failures to the run's log, progress to an artifact."""

    def __init__(self) -> None:
        self.log = get_run_logger()
        self.total = self.done = 0
        self.artifact: Any = None

    def begin(self, total: int, finished: int) -> None:
        self.total = total
        self.log.info("%d pictures to do, %d finished already", total, finished)
        begun = 0.0 if total else 100.0
        self.artifact = create_progress_artifact(
            begun, key="removal-progress", description="pictures done", **IN_THREAD
        )

    def did(self, outcome: Outcome) -> None:
        self.done += 1
        if outcome.status == "failed":
            self.log.warning("failed: %s: %s", readable(outcome.source), readable(str(outcome.reason)))
        percent = 100 * self.done // self.total
        if percent > 100 * (self.done - 1) // self.total:  # a hundred calls to the server, for any number of pictures
            self._show(float(percent))

    def say(self, message: str) -> None:
        self.log.info(readable(message))

    def _show(self, percent: float) -> None:
        try:
            update_progress_artifact(self.artifact, percent, **IN_THREAD)
        except Exception as error:  # the server may be unavailable for a while; the pictures do not need it
            self.log.warning("the progress could not be shown: %s", error)


def _report(settings: Job) -> None:
    """A table of counts, and a summary."""
    found = cards.standing_of(settings)
    table = [{"status": status, "pictures": count} for status, count in cards.counted(found.counts, found.doubtful)]
    create_table_artifact(table, key="removal-summary", **IN_THREAD)
    create_markdown_artifact(summary_page(settings, found), key="removal-report", **IN_THREAD)


def summary_page(settings: Job, found: cards.Standing) -> str:
    """Markdown: the number to review, the first ten failures, the command to repeat. Names are escaped."""
    records = records_place(settings.target)
    report = as_code(f"{records}/report.html")
    if settings.report_url:
        report = f"[report.html]({settings.report_url})"
    failed = [f"- {as_code(row['source'])}: {as_markdown(str(row['reason']))}" for row in found.failures[:10]]
    shard = parse_shard(settings.shard)
    again = ["run", settings.source, settings.target, "--job", f"{records}/{records_of(shard)}job.toml"]
    steps = [f"Again: {as_code(_command(*again, *(['--shard', settings.shard] if shard else [])))}"]
    if shard:
        steps.append(f"When all shards have run: {as_code(_command('merge', settings.target))}")
    title = f"# {as_code(settings.source)} → {as_code(settings.target)}"
    worst = "\n".join(failed) or "None failed."
    return "\n\n".join([title, f"{found.to_review} to review: {report}", worst, *steps])


def _command(*words: str) -> str:
    return shlex.join(["cleanplate", *words])
