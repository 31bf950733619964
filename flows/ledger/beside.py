"""Shards of one target: checks that they fit together."""

from __future__ import annotations

from pathlib import Path

from flows.errors import UsageError
from flows.job import Job
from flows.ledger.shards import Shard, parse_shard, records_of, shards_of
from flows.settings.job_file import job_of


def refuse_beside(job: Job, target: Path) -> None:
    """Raises UsageError for a shard that does not fit the other shards of its target."""
    own, others = parse_shard(job.shard), shards_of(target)
    if own is None:
        return
    for shard in others:
        if shard.count != own.count:
            raise UsageError(
                f"{target} is divided into {shard.count} shards, not {own.count}: give --shard i/{shard.count}, "
                f"or `cleanplate merge {target}` first"
            )
    agreed({own: job} | {shard: of for shard in others if (of := shard_job(target, shard)) and shard != own})


def shard_job(target: Path, shard: Shard) -> Job | None:
    """The job of a shard; None for one that never began."""
    file = target / f"{records_of(shard)}job.toml"
    return job_of(str(file), {}) if file.exists() else None


def agreed(jobs: dict[Shard, Job]) -> Job:
    """The first of several jobs. Raises UsageError unless all of them paint alike."""
    (first, job), *rest = jobs.items()
    for shard, other in rest:
        theirs = other.settings
        differ = [f"--{name.replace('_', '-')}" for name, value in job.settings.items() if theirs[name] != value]
        if differ:
            raise UsageError(
                f"shards {first} and {shard} were given other settings ({', '.join(differ)}); give both the same"
            )
    return job
