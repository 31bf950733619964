"""review, pick: pages for people to look, decide and point."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.verbs.talk import TALK, Json, print_json

Port = Annotated[int, Parameter(help="port on 127.0.0.1; 0: any that is free")]


def review(
    target: Path,
    *,
    apply: Annotated[Path | None, Parameter(help="decisions.jsonl that the page gave; taken in first")] = None,
    serve: Annotated[
        bool, Parameter(help="show the page on 127.0.0.1 and save decisions at once", negative=())
    ] = False,
    port: Port = 0,
    json: Json = False,
) -> None:
    """Write TARGET/report.html: every picture before and after, the worst first, to accept or reject.

    The page opens by a double click, from a share too, and asks no other machine.
    """
    from flows import review as page
    from flows.decisions import apply as take_in
    from flows.decisions import read_decisions

    decided = 0
    if apply is not None:
        decisions = read_decisions(apply.expanduser().read_bytes().decode(errors="surrogateescape"))
        decided = take_in(target, decisions, lambda message: TALK.print(message, markup=False))
    written = page.rewrite(target)
    if json:
        print_json({"target": str(target), "report": str(written), "decided": decided})
    else:
        TALK.print(f"{decided} decisions taken in", markup=False) if apply is not None else None
        print(written)
