"""run, masks, redo, compare: the job on a folder."""

from __future__ import annotations

import os
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from flows.cli.verbs.talk import INTERRUPTED, code_of, next_line, print_json, say, words_of
from flows.deploy.tracking import run_as_flow, server_configured
from flows.job import Job
from flows.settings.job_file import job_of
from flows.settings.own_code import named_by_hand, refuse_in_flow
from flows.settings.paths import local_target
from flows.threads.interrupts import graceful_sigint

if TYPE_CHECKING:
    from flows.cli.progress import Terminal
    from flows.run import Summary


def run(source: str, target: str, **given: Any) -> int:
    """Clean a folder of pictures, or one picture. The same command resumes after any interruption."""
    return _work(source, target, masks_only=False, **given)


def masks(source: str, target: str, **given: Any) -> int:
    """Find and write the masks only. They can be looked at and edited; a later `run` uses them."""
    return _work(source, target, masks_only=True, **given)


def compare(source: str, target: str, methods: list[str], json: bool = False, job: str = "", **given: Any) -> None:
    """One picture per image, TARGET/NAME.png: original, mask, and a column per --method that says whether it fits.

    The figures behind that stand in TARGET/comparison.jsonl. strange: share of the hole in colours found nowhere around
    it; seam: how much the mask's edge shows, 1 is not at all; texture: fine detail in the hole over that around it.
    """
    from flows.samples.comparison import compare as draw

    named_by_hand(given)
    rows = draw(job_of(job, given | {"source": source, "target": target}), methods, say)
    if json:
        print_json({"target": target, "rows": rows})


def redo(
    target: str,
    only: str = "rejected,failed,doubtful",
    json: bool = False,
    quiet: bool = False,
    verbose: bool = False,
    **given: Any,
) -> int:
    """Do again what was rejected, failed or is doubtful, and not accepted; with changed settings, if any are given.

    They stay with these pictures. Where one was clicked, it is looked for there. The earlier result stays until there
    is another, and is then kept in TARGET/.cleanplate/attempts. Always runs in this process.
    """
    from flows.cli.progress import Terminal
    from flows.places.one_file import records_place
    from flows.review.redo import redo as again

    if given.get("offline"):
        os.environ["HF_HUB_OFFLINE"] = "1"
    named_by_hand(given)
    kinds = frozenset(kind.strip() for kind in only.split(",") if kind.strip())
    with Terminal(quiet, verbose) as terminal, graceful_sigint(say):
        summary = again(local_target(records_place(target)), kinds, given, terminal)
    return _ended(terminal, target, summary, summary.exit_code or (1 if summary.done["failed"] else 0), json)


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
    from flows import run as whole_job
    from flows.cli.progress import Terminal

    named_by_hand(given)
    settings = job_of(job, given | {"source": source, "target": target})
    if settings.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    if not dry_run and not masks_only and (server_configured() if flow is None else flow):
        refuse_in_flow(settings.segmenter, "add --no-flow")
        code = as_flow(settings)
        if json:
            print_json({"target": target, "exit_code": code, "done": None, **_standing(settings)})
        return code
    with Terminal(quiet, verbose) as terminal:
        work = whole_job.look if dry_run else whole_job.run
        try:
            with graceful_sigint(say):
                summary = work(settings, terminal, masks_only=masks_only)
        except (Exception, KeyboardInterrupt) as error:
            if json and (stopped_with := code_of(error)) is not None:
                done = {"done": dict(terminal.counts), **_standing(settings), "error": words_of(error)}
                print_json({"target": target, "exit_code": stopped_with, **done})
            raise
    return _ended(terminal, target, summary, summary.exit_code, json, settings.shard)


def _ended(terminal: Terminal, target: str, summary: Summary, code: int, json: bool, shard: str = "") -> int:
    """Say below the bar how a run, or a dry run, has ended."""
    from flows.places.one_file import records_place

    if summary.interrupted:
        say(INTERRUPTED)
    elif summary.takes is None:
        if summary.counts:
            merge = f"when all shards have run: {shlex.join(['cleanplate', 'merge', target])}"
            terminal.say(merge if shard else f"report: {records_place(target).rstrip('/')}/report.html")
        terminal.conclude(target, summary.tried, summary.counts, summary.doubtful)
        if not shard and (step := _next(target, records_place(target), summary)):
            terminal.say(next_line(step))
    if json:
        counts = {"counts": summary.counts, "doubtful": summary.doubtful}
        takes = {"takes": asdict(summary.takes)} if summary.takes else {}
        print_json({"target": target, "exit_code": code, "done": dict(summary.done), **counts, **takes})
    return code


def _next(target: str, records: str, summary: Summary) -> str:
    """The command that goes on from here; empty where all is well."""
    from flows.records.card import after_masks, command

    if summary.counts.get("masked"):
        return after_masks(records)
    return command("status", target) if summary.doubtful or summary.counts.get("failed") else ""


def _standing(settings: Job) -> dict[str, Any]:
    """The state of a job's target after a run that stopped; empty without records."""
    from flows.records.card import standing_of

    try:
        after = standing_of(settings)
    except (ValueError, OSError):
        return {"counts": {}, "doubtful": 0}
    return {"counts": after.counts, "doubtful": after.doubtful}


def as_flow(settings: Job) -> int:
    """Run as the flow; its final state tells how it ended."""
    with graceful_sigint(say):
        state = run_as_flow(settings)
    say(f"{state.name}: {state.message}")
    if state.is_cancelled():
        return 130
    if state.is_completed():
        return 1 if state.name == "Partial" else 0
    ended_with = state.result(raise_on_failure=False)
    code = code_of(ended_with) if isinstance(ended_with, Exception) else None
    return code or (4 if "--max-failures" in (state.message or "") else 1)
