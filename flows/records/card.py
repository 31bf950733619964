"""The records of a target: its rows, its data-set card and the job that made it."""

from __future__ import annotations

import json
import shlex
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.errors import UsageError
from flows.job import PATHS, Job
from flows.ledger.shards import parse_shard, records_of, refuse_unmerged
from flows.messages.nearest import path_beside
from flows.messages.readable import as_code
from flows.outcome import Outcome
from flows.places.bucket import is_url, whole_path
from flows.places.layout import PRIVATE, RECORDS
from flows.places.one_file import file_of, records_place
from flows.places.target import Target
from flows.records.rows import rows_of
from flows.records.splits import write_splits
from flows.records.troubles import Trouble, Troubles

WHAT = (
    "text",
    "point",
    "box",
    "prompts",
    "coco",
    "category",
    "masks",
    "mask_pattern",
    "mask_label",
    "mask_alpha",
    "protect",
)
ONCE = {"existing", "limit", "shard"}  # for one run, not for a repetition
Painters = Counter[tuple[str | None, str | None]]
FILES_OF_A_SHARD = ("metadata.jsonl", "failures.jsonl", "job.toml")


def write(target: Target, job: Job, outcomes: Iterable[Outcome]) -> None:
    """Write metadata.jsonl, failures.jsonl, README.md and job.toml from the manifest's rows."""
    painters: Painters = Counter()
    counts, doubtful = write_rows(target, _counting(painters, outcomes))
    write_job(target, job)
    with target.open("metadata.jsonl") as lines:
        head = write_splits(target, map(json.loads, lines))
    target.write("README.md", (head + card(job, counts, doubtful, painters)).encode(errors="backslashreplace"))


def _counting(painters: Painters, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    for outcome in outcomes:
        painters.update(painters_of([outcome.row()]))
        yield outcome


def painters_of(rows: Iterable[Mapping[str, Any]]) -> Painters:
    """The number of pictures painted by each model and method; the model is None for methods without weights."""
    return Counter((row["model"], row["method"]) for row in rows if row["status"] == "removed")


def write_job(target: Target, job: Job, place: str = "") -> None:
    """Write job.toml: the settings for a repetition of this run."""
    repeated = job.model_dump(mode="json", exclude=ONCE)
    target.write(f"{place}job.toml", to_toml(repeated).encode(errors="backslashreplace"))


def write_rows(target: Target, outcomes: Iterable[Outcome], place: str = "") -> tuple[Counter[str], int]:
    """Write metadata.jsonl and failures.jsonl. Returns the number of rows by status, and of doubtful ones."""
    counts: Counter[str] = Counter()
    doubtful = 0
    delivered, failures = bytearray(), bytearray()  # 1 KB a picture; a list of strings would take three times as much
    for outcome in outcomes:
        counts[outcome.status] += 1
        doubtful += outcome.verdict == "doubtful"
        lines = failures if outcome.failed else delivered
        lines += json.dumps(outcome.row()).encode() + b"\n"
    target.write(f"{place}metadata.jsonl", delivered)
    target.write(f"{place}failures.jsonl", failures)
    return counts, doubtful


def are_there(target: Target, place: str = "") -> bool:
    """True if no record file was removed; a shard's own folder has fewer of them."""
    return all(target.has(f"{place}{name}") for name in (RECORDS if not place else FILES_OF_A_SHARD))


def read_job(target: Target) -> dict[str, Any] | None:
    """The settings of an earlier run that say what to remove, or None."""
    if not target.has("job.toml"):
        return None
    job = tomllib.loads(target.read("job.toml").decode())
    return {key: job[key] for key in WHAT if key in job} or None


def job_of(target: Target, place: str = "") -> Job | None:
    """The job of an earlier run, from its job.toml; None without a readable one."""
    try:
        return Job(**tomllib.loads(target.read(f"{place}job.toml").decode()))
    except (OSError, ValueError, TypeError):
        return None


@dataclass(frozen=True)
class Standing:
    """The state of a target: pictures by status, and how many are doubtful, rejected, and doubtful without a review;
    the rows of the failed ones, and the troubles, the worst first.
    """

    counts: dict[str, int]
    doubtful: int
    rejected: int
    to_review: int
    failures: list[dict[str, Any]]
    troubles: list[Trouble]


def standing_of(job: Job) -> Standing:
    """The state of a job's pictures: those of its target, or of its shard."""
    return standing("/".join(filter(None, [whole_path(records_place(job.target)), records_of(parse_shard(job.shard))])))


def standing(target: Path | str) -> Standing:
    """The state of a target, from its records. Raises UsageError if there are none."""
    counts: Counter[str] = Counter()
    doubtful, to_review, failures, troubles = 0, 0, [], Troubles()
    for row in read_rows(target):
        counts[row["status"]] += 1
        doubtful += row["verdict"] == "doubtful"
        to_review += row["verdict"] == "doubtful" and row["review"] is None
        if row["status"] == "failed":
            failures.append(row)
        troubles.add(row)
    return Standing(dict(counts), doubtful, troubles.count("rejected"), to_review, failures, troubles.worst_first())


def read_rows(target: Path | str) -> Iterator[dict[str, Any]]:
    """The rows of metadata.jsonl, then of failures.jsonl, of a folder or a URL. Raises UsageError without them."""
    for name in ("metadata.jsonl", "failures.jsonl"):
        try:
            lines = Target.existing(target).open(name)
        except FileNotFoundError as error:
            beside = ""
            if not is_url(str(target)):
                refuse_unmerged(Path(target))
                beside = path_beside(Path(target))
                if (Path(target) / PRIVATE).is_dir():
                    raise UsageError(
                        f"a run into {target} ended before it wrote its records; run the same command again"
                    ) from error
            raise UsageError(
                f"{target} holds no Cleanplate result (no {name}); give the target of a run{beside}"
            ) from error
        with lines:
            yield from rows_of(lines, f"{target}/{name}")


def next_steps(target: Path | str, found: Standing) -> list[str]:
    """The next commands for a target in this state, the most urgent first."""
    steps, named = [], file_of(str(target)) or str(target)
    if found.counts.get("masked") or not found.counts:
        steps.append(after_masks(target))
    if found.to_review:
        steps.append(command("review", named))
    if again := [kind for kind, some in (("failed", found.failures), ("rejected", found.rejected)) if some]:
        steps.append(command("redo", named, "--only", ",".join(again)))
    return steps


def after_masks(target: Path | str) -> str:
    """The command that removes what the masks of a target show."""
    told = tomllib.loads(Target.existing(target).read("job.toml").decode())
    flags = [] if is_url(str(target)) else ["--job", f"{target}/job.toml"]
    return command("run", told["source"], file_of(str(target)) or str(target), *flags, "--model", told["model"])


def command(*words: str) -> str:
    return shlex.join(["cleanplate", *words])


def counted(counts: Mapping[str, int], doubtful: int) -> list[tuple[str, int]]:
    """The counts by status in words, with the doubtful ones after the results."""
    remark = f" ({doubtful} doubtful)" if doubtful else ""
    return [(status + remark * (status == "removed"), count) for status, count in sorted(counts.items())]


def in_words(counts: Mapping[str, int], doubtful: int) -> str:
    """The counts in one line, such as "1 failed, 7 removed (2 doubtful)"."""
    return ", ".join(f"{count} {status}" for status, count in counted(counts, doubtful)) or "no pictures"


def to_toml(settings: dict[str, Any]) -> str:
    """A flat dict as TOML; JSON strings and lists of strings are valid TOML. None is left out, since TOML has no null.

    By hand, since Python only reads TOML, and a library that writes it would be one more dependency for this line.
    """
    return "".join(
        f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in settings.items() if value is not None
    )


WHOLE = """Every picture of the source is named once, in `metadata.jsonl`
(pictures in `images/`) or in `failures.jsonl` (pictures that are not)."""
A_PART = "`metadata.jsonl` has a row for every picture in `images/`."


def card(job: Job, counts: Mapping[str, int], doubtful: int, painters: Mapping[Any, int], whole: bool = True) -> str:
    """A data-set card in Markdown, of a whole target or of an export. `painters` as `painters_of` returns them."""
    unsaid = {*PATHS, "report_url", *ONCE} | (
        {"model", "revision"} if painters and not any(m for m, _ in painters) else set()
    )
    usual = Job().model_dump(mode="json")
    asked = {key: value for key, value in job.model_dump(mode="json").items() if key not in unsaid}
    changed = {key: value for key, value in asked.items() if value != usual[key]}
    settings = (
        f"\nSettings: {as_code(json.dumps(changed, sort_keys=True))}; all others are the defaults.\n" if changed else ""
    )
    rows = "\n".join(f"| {status} | {count} |" for status, count in counted(counts, doubtful))
    return f"""# Pictures with objects removed

Made by Cleanplate from {as_code(job.source)}.
{WHOLE if whole else A_PART} Outside its mask, every pixel is the source's.

| status | pictures |
|---|---|
{rows}

{_synthetic(painters)}{_waiting(counts)}

```python
from datasets import load_dataset
pictures = load_dataset("TARGET")  # columns image and mask
```
{settings}"""


def _waiting(counts: Mapping[str, int]) -> str:
    """The next step for masks that wait for painting."""
    if not (waiting := counts.get("masked")):
        return ""
    pictures = "1 picture has its mask" if waiting == 1 else f"{waiting} pictures have their masks"
    return f" {pictures} in `masks/` (white) and nothing painted yet: `cleanplate run` goes on from there."


def _synthetic(painters: Mapping[tuple[str | None, str], int]) -> str:
    if not painters:
        return "No picture of it was painted on."
    each = [
        (f"by {as_code(model)} ({method})" if model else f"by {method}, an algorithm without a model", count)
        for (model, method), count in sorted(painters.items(), key=lambda one: -one[1])
    ]
    words = [f"{by} in {count} of them" for by, count in each] if len(each) > 1 else [each[0][0]]
    return f"Inside the masks (`masks/`, white) the pixels are synthetic: painted {', '.join(words)}."
