"""status, export: the state of a target, and copies of it to hand on."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.cli.verbs.talk import Json, next_line, print_json, say, show
from flows.messages.counts import many
from flows.settings.paths import local_target

MOST = 20  # reasons that are listed without --all


def status(
    target: str,
    *,
    all: Annotated[bool, Parameter(help="every reason, not the first 20", negative=(), show_default=False)] = False,
    json: Json = False,
) -> int:
    """Counts per status; what failed, was rejected or is doubtful, and why; and what to do next.

    Alike reasons stand together with the first picture that has them, the commonest first.
    """
    from flows.places.one_file import records_place
    from flows.records.card import counted, next_steps, standing

    target = records_place(target)
    found = standing(target)
    steps = next_steps(target, found)
    if json:
        print_json({"target": str(target), **asdict(found), "next": steps})
        return 1 if found.failures else 0
    if not found.counts:
        print("nothing is done yet: no run has finished its first picture")
    rejected = [("rejected", found.rejected)] if found.rejected else []
    for name, count in [*counted(found.counts, found.doubtful), *rejected]:
        print(f"{count:8}  {name}")
    shown = found.troubles if all else found.troubles[:MOST]
    for trouble in shown:
        others = ", …" if trouble.count > 1 else ""
        show(f"{trouble.count:8}  {trouble.kind}: {trouble.reason} ({trouble.example}{others})", indent=10)
    if len(shown) < len(found.troubles):
        print(f"          and {len(found.troubles) - len(shown)} more reasons: --all")
    for step in steps:
        show(next_line(step))
    return 1 if found.failures else 0


def export(
    target: Path,
    dest: Path,
    *,
    accepted: Annotated[bool, Parameter(help="only what somebody accepted", negative=(), show_default=False)] = False,
    no_originals: Annotated[
        bool, Parameter(help="nothing that shows what was removed", negative=(), show_default=False)
    ] = False,
    coco: Annotated[
        bool, Parameter(help="also the COCO file, without what was removed", negative=(), show_default=False)
    ] = False,
    hf_pairs: Annotated[
        bool, Parameter(help="pictures before and after instead, to train on", negative=(), show_default=False)
    ] = False,
    parquet: Annotated[bool, Parameter(help="parquet files instead", negative=(), show_default=False)] = False,
    json: Json = False,
) -> None:
    """Copy a result to DEST, to be given away: pictures, masks, records, review page; as a whole or not at all.

    With --no-originals without strips, animations and pictures before, and without what was copied as unsupported.
    Earlier attempts stay behind in any case.
    """
    from flows.export.delivery import export as copy
    from flows.places.one_file import records_place

    result = local_target(records_place(str(target)))
    count = copy(result, local_target(dest), accepted, not no_originals, say, coco, hf_pairs, parquet)
    if json:
        print_json({"target": str(target), "dest": str(dest), "pictures": count})
    else:
        say(f"{dest}: {many(count, 'picture')}")
