"""The canary: a sample of the folder runs first and shows whether the rest is worth a run."""

from __future__ import annotations

from flows.errors import TooManyFailures
from flows.job import Job


def split(names: list[str], count: int) -> list[list[str]]:
    """`count` of the names, spread evenly over all, then the others; the same every time. Empty parts are left out.

    Neighbouring names often show the same place or the same day, so the first few would tell little.
    """
    chosen = {names[(2 * k + 1) * len(names) // (2 * count)] for k in range(count)} if names else set()
    parts = [[name for name in names if name in chosen], [name for name in names if name not in chosen]]
    return [part for part in parts if part]


def judge(job: Job, tried: int, failed: int, doubtful: int) -> str:
    """A message about a good sample. Raises TooManyFailures for a bad one."""
    found = f"of a sample of {tried} pictures {failed} failed and {doubtful} are doubtful"
    if failed + doubtful > job.failures_allowed(tried, at_once=True):
        raise TooManyFailures(
            f"{found}, more than --max-failures {job.max_failures} allows; look at {job.target}/report.html; to go on "
            f"anyway, run it again without --canary"
        )
    return found
