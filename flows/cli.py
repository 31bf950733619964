"""The `cleanplate` command: its verbs, thin. stdout carries data, stderr carries talk; only this file exits."""

from __future__ import annotations

import json
import os
import sys
import tomllib
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from pydantic import ValidationError
from rich.console import Console

from flows.flags import METHODS, signed
from flows.records import Job
from flows.tracking import run_as_flow, server_configured

app = App(
    name="cleanplate",
    default_parameter=Parameter(negative_iterable=()),
    help="Removes objects from whole folders of pictures: a folder in, a clean folder out.",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)
app.register_install_completion_command()
models_app = App(name="models", help="The models there are, and which would be used and why.")
app.command(models_app)

TALK = Console(stderr=True, soft_wrap=True, highlight=False)


def main() -> None:
    """Run the command line and exit with its code."""
    warnings.showwarning = lambda message, *_, **__: TALK.print(f"warning: {message}", markup=False)
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        code = app()
    except KeyboardInterrupt:
        TALK.print("interrupted; the same command goes on from here")
        code = 130
    except ValidationError as error:
        for problem in error.errors():
            place = "--" + str(problem["loc"][0]).replace("_", "-") + ": " if problem["loc"] else ""
            TALK.print(f"{place}{problem['msg'].removeprefix('Value error, ')}", markup=False)
        code = 2
    except Exception as error:
        code = _code(error)
        if code is None:
            raise
        TALK.print(_words(error), markup=False)
    sys.exit(code)


def _code(error: Exception) -> int | None:
    """The exit code of an error that a user can mend; None for one that is ours."""
    if isinstance(error, ImportError):
        return 3
    return getattr(error, "code", 2 if isinstance(error, (ValueError, FileNotFoundError)) else None)


def _words(error: Exception) -> str:
    if isinstance(error, ImportError) and "lib" in str(error):
        from flows.doctor import OPENCV_FIX

        return f"{error}\nOpenCV needs system libraries: {OPENCV_FIX}"
    return str(error)


# The job -------------------------------------------------------------------------------------------------------------


def run(source: str, target: str, **given: Any) -> int:
    """Clean a folder of pictures, or one picture. The same command resumes after any interruption."""
    return _work(source, target, masks_only=False, **given)


def masks(source: str, target: str, **given: Any) -> int:
    """Find and write the masks only. They can be looked at and edited; a later `run` uses them."""
    return _work(source, target, masks_only=True, **given)


def compare(source: str, target: str, methods: list[str], json: bool = False, job: str = "", **given: Any) -> None:
    """One picture per image, TARGET/NAME.png: original, mask, and a column per --method with its figures.

    strange: share of the hole in colours found nowhere around it; seam: how much the mask's edge shows, 1 is not at
    all; detail: fine texture in the hole over that around it.
    """
    from flows.comparison import compare as draw

    rows = draw(Job(**(_job_file(job) | given | {"source": source, "target": target})), methods, TALK.print)
    if json:
        _print_json({"target": target, "rows": rows})


app.command(signed(run))
app.command(signed(masks, without=("flow",)))
NOT_COMPARED = (
    *("flow", "dry_run", "quiet", "verbose"),
    *("method", "existing", "max_failures", "nothing_found", "verify", "tries", "gif", "concat"),
)
app.command(signed(compare, without=NOT_COMPARED, extra=(METHODS,)))


def _work(
    source: str,
    target: str,
    masks_only: bool,
    job: str = "",
    flow: bool | None = None,
    dry_run: bool = False,
    json: bool = False,
    quiet: bool = False,
    verbose: bool = False,
    **given: Any,
) -> int:
    from flows import job as whole_job
    from flows.cards import standing
    from flows.progress import Terminal

    settings = Job(**(_job_file(job) | given | {"source": source, "target": target}))
    if settings.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    if not dry_run and not masks_only and (server_configured() if flow is None else flow):
        code, done = _as_flow(settings), None
        after: Any = standing(Path(target).expanduser()) if json else None
    else:
        with Terminal(quiet, verbose) as terminal:
            work = whole_job.look if dry_run else whole_job.run
            summary = work(settings, terminal, masks_only=masks_only)
            if not dry_run:
                terminal.conclude(settings.target, summary.tried, summary.counts, summary.doubtful)
        code, done, after = summary.exit_code, dict(summary.done), summary
    if json:
        counts = {"counts": after.counts, "doubtful": after.doubtful}
        _print_json({"target": target, "exit_code": code, "done": done, **counts})
    return code


def _job_file(file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(file).expanduser().read_text(encoding="utf-8")) if file else {}
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{file} is not TOML: {error}") from error


def _as_flow(settings: Job) -> int:
    """Run as the flow; its final state says how it ended."""
    state = run_as_flow(settings)
    TALK.print(f"{state.name}: {state.message}", markup=False)
    if state.is_completed():
        return 1 if state.name == "Partial" else 0
    ended_with = state.result(raise_on_failure=False)
    code = _code(ended_with) if isinstance(ended_with, Exception) else None
    return code or (4 if "--max-failures" in (state.message or "") else 1)


# Looking at results --------------------------------------------------------------------------------------------------


@app.command
def status(target: Path, *, json: Annotated[bool, Parameter(negative=())] = False) -> int:
    """Counts per status, and what failed and why."""
    from flows.cards import counted, standing

    found = standing(target)
    if json:
        _print_json({"target": str(target), **vars(found)})
        return 1 if found.failures else 0
    for name, count in counted(found.counts, found.doubtful):
        print(f"{count:8}  {name}")
    for row in found.failures:
        print(f"failed: {row['source']}: {row['reason']}")
    return 1 if found.failures else 0


@models_app.default
def models() -> None:
    """The presets: what each loads, under which licence, how large, and what finds the objects."""
    from removal import PRESETS

    for name, row in PRESETS.items():
        print(f"{name:14} {row.size:>7}  {row.license:23} segmenter {row.segmenter}")
        print(f"{'':14} {row.repo if not row.is_local else 'inside the package'}")


@models_app.command
def explain(
    model: str, *, method: str = "auto", offline: bool = True, json: Annotated[bool, Parameter(negative=())] = False
) -> None:
    """Which checkpoint and method a model means, and why.

    Presets and withdrawn ids are resolved from the shipped table. `--no-offline` asks the hub about other ids.
    """
    from removal import choose

    choice = choose(model, method, offline=offline)
    row = choice.checkpoint
    facts = {
        "model": model,
        "repo": None if row.is_local else row.repo or None,
        "path": row.repo if row.is_local else None,
        "revision": row.revision,
        "in_channels": row.in_channels,
        "method": None if choice.method == "auto" else choice.method,
        "reason": choice.reason,
        "license": row.license,
    }
    if json:
        _print_json(facts)
        return
    for key, value in facts.items():
        print(f"{key:12} {'-' if value is None else value}")


# Scenes and quality --------------------------------------------------------------------------------------------------


@app.command
def demo(target: Path = Path("demo/result"), *, count: int = 16) -> int:
    """Draw sample scenes beside TARGET and clean them with the bundled checkpoints: offline, on the CPU.

    Half the objects are named by text, half by a point. Runs as the Prefect flow, on a temporary server of its own.
    """
    from flows.samples import run_demo

    return run_demo(target, count, _as_flow, TALK)


@app.command
def scenes(target: Path, *, count: int = 100, seed: int = 0, look: Literal["day", "night"] = "day") -> None:
    """Draw procedural scenes whose clean plate is known, with truth, masks and prompts.

    By day they look as the bundled checkpoints know them, by night as bundled-style draws them.
    """
    from flows.samples import write_scenes

    write_scenes(target, count, seed, look)


@app.command
def evaluate(result: Path, scenes: Path, *, json: Annotated[bool, Parameter(negative=())] = False) -> None:
    """Quality of a RESULT against the known clean plates of SCENES, beside simple fills and the ceiling."""
    from flows.evaluation import evaluate as measure
    from flows.evaluation import table

    figures = measure(result, scenes)
    if json:
        _print_json(figures)
    else:
        Console(soft_wrap=True).print(table(figures))


@app.command
def doctor() -> int:
    """Check the machine: each problem with its fix."""
    from flows.doctor import examine

    problems = 0
    for name, ok, words in examine():
        print(f"{'ok  ' if ok else 'FIX '} {name}: {words}")
        problems += not ok
    return 3 if problems else 0


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


if __name__ == "__main__":
    main()
