"""What `--tries` brings and costs: `python -m tests.benchmarks.ladder [COUNT]`.

Whole runs over scenes, half asked by a phrase and half by a point. What has failed is said by `there_again`, which
knows the truth; the ladder climbs by its own verdict alone.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.formats.mask_files import decode_mask
from flows.formats.pictures import decode
from flows.job import Job
from flows.run import run
from flows.samples.scenes import write_scenes
from flows.steps.loading import quiet_libraries
from removal.quality import there_again

SEED = 3  # of `cleanplate scenes`
WAYS = {
    "`bundled`, inpainting": {"model": "bundled"},
    "`bundled-base`, blending": {"model": "bundled-base", "method": "blending"},
    "`bundled-base`, blending as written": {"model": "bundled-base", "method": "blending", "prefill": False},
}
TRIES = (1, 2, 3, 6)


def main(count: int = 40) -> None:
    """Print a table: failures, doubts, UNet evaluations and seconds a picture, for each way and several tries."""
    quiet_libraries()
    head = "| way | tries | failed | doubtful | attempts | UNet evaluations a picture | s a picture |"
    print(f"{count} scenes\n\n{head}\n|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="cleanplate-") as place:
        scenes = Path(place) / "scenes"
        write_scenes(scenes, count, SEED)
        half_by_point(scenes)
        for way, settings in WAYS.items():
            for tries in TRIES:
                target = Path(place) / f"{len(list(Path(place).iterdir()))}"
                print(f"| {way} | {tries} | {_cells(scenes, target, settings | {'tries': tries})} |", flush=True)


def half_by_point(scenes: Path) -> None:
    """Ask every second scene by its point alone, and the others by their phrase alone."""
    rows = [json.loads(line) for line in (scenes / "prompts.jsonl").read_text().splitlines()]
    for k, row in enumerate(rows):
        del row[("points", "text")[k % 2]]
    (scenes / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def failures(scenes: Path, target: Path) -> dict[str, bool]:
    """Whether an object is there again, for each picture of a target."""
    return {row["source"]: _failed(scenes, target, row["source"]) for row in rows_of(target)}


def rows_of(target: Path) -> list[dict]:
    return [json.loads(line) for line in (target / "metadata.jsonl").read_text().splitlines()]


def _failed(scenes: Path, target: Path, name: str) -> bool:
    result, truth = (decode((place / name).read_bytes()).image for place in (target / "images", scenes / "truth"))
    mask, thing = (decode_mask((scenes / kind / name).read_bytes()) for kind in ("masks", "objects"))
    return there_again(result, truth, mask, thing)


def _cells(scenes: Path, target: Path, settings: dict) -> str:
    job = Job(
        source=str(scenes / "images"), target=str(target), prompts=str(scenes / "prompts.jsonl"), device="cpu",
        **settings,
    )  # fmt: skip
    began = time.monotonic()
    with _counted() as evaluations:
        summary = run(job)
    each = (time.monotonic() - began) / summary.pictures
    failed, attempts = failures(scenes, target), [row["attempt"] for row in rows_of(target)]
    archived = len(list((target / ".cleanplate/attempts").rglob("*.json")))
    shares = f"{sum(failed.values()) / len(failed):.1%} | {summary.doubtful / len(failed):.1%}"
    made = (len(attempts) + archived) / len(attempts)
    return f"{shares} | {made:.2f} | {sum(evaluations) / summary.pictures:.1f} | {each:.1f}"


@contextmanager
def _counted() -> Iterator[list[int]]:
    """The rows of every batch that any UNet is given while this lasts."""
    from diffusers import UNet2DConditionModel

    forward, rows = UNet2DConditionModel.forward, []

    def counting(self, sample, *given, **named):
        rows.append(len(sample))
        return forward(self, sample, *given, **named)

    UNet2DConditionModel.forward = counting
    try:
        yield rows
    finally:
        UNet2DConditionModel.forward = forward


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
