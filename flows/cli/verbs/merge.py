"""merge: joins the records of shards."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path

from flows.cli.verbs.talk import Json, next_line, print_json, say, show
from flows.messages.counts import many
from flows.settings.paths import local_target


def merge(target: Path, *, json: Json = False) -> int:
    """Join the records of shards, once all have run. Missing pictures are named, with the command that does them.

    The result is that of one run, whatever the order of the shards; a later `run` finds everything done.
    """
    from flows.merge import merge as join
    from flows.places.one_file import records_place
    from flows.records.card import in_words

    target = local_target(records_place(str(target)))
    merged = join(target, say)
    repeat = ["cleanplate", "run", merged.source, str(target), "--job", f"{target}/job.toml"]
    steps = [shlex.join([*repeat, "--shard", shard]) for shard in merged.missing]
    if json:
        print_json({"target": str(target), "exit_code": merged.exit_code, **asdict(merged), "next": steps})
        return merged.exit_code
    print(in_words(merged.counts, merged.doubtful))
    for (shard, count), step in zip(merged.missing.items(), steps, strict=True):
        print(f"shard {shard} did not finish: {many(count, 'picture')} missing")
        show(next_line(step))
    if steps:
        show(next_line(shlex.join(["cleanplate", "merge", str(target)])))
    return merged.exit_code
