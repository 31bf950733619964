"""The demo: chosen scenes cleaned with the bundled checkpoints, photos cleaned without any, and a sheet of the best."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from importlib.resources import as_file, files
from itertools import chain, count, islice
from pathlib import Path

import numpy as np
from rich.console import Console

from flows.formats.drawings import before_and_after
from flows.formats.pictures import decode
from flows.job import Job
from flows.places.disk import write_whole
from flows.samples.scenes import draw_scenes, lines_of
from flows.settings.paths import local_path

# Prefect's temporary server, on its own: no server or history of the user's, nothing asked of the network.
OWN_SERVER = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_PROFILE": "ephemeral",
}
# Every background, shape and colour, none of them trained on; chosen among 1,200 for masks that are right and textures
# that go on. What stands at an even place is asked for by text, and there the colour alone tells what is meant.
CHOSEN = (
    *(7_000_608, 7_000_181, 7_000_050, 7_000_043, 7_000_672, 7_000_111),
    *(7_000_392, 7_000_139, 7_000_458, 7_000_129, 7_000_638, 7_000_154),
)
DILATE = 6  # pixels: on a plain ground the last of a shadow's edge would show
ASKED = "demo.jsonl"
PHOTOS = "samples/photos"
SHEET, ON_SHEET = "before-after.jpg", 4  # and so many scenes on it


def run_demo(target: Path, number: int, run_flow: Callable[[Job], int], talk: Console) -> int:
    """Draw scenes beside `target` and clean them, half by text and half by points; then the photos of the package.

    The best of both are drawn on a sheet beside them. Returns the flow's exit code, or that of the photos.
    Raises ValueError where something else is in the way.
    """
    if number < 1:
        raise ValueError(f"count is 1 or more, not {number}")
    target = local_path(target)
    drawn, photos, sheet = (target.parent / name for name in ("scenes", "photos", SHEET))
    _refuse_what_is_not_ours(drawn, target, photos)
    rows = draw_scenes(drawn, islice(chain(CHOSEN, count(CHOSEN[-1] + 1_000)), number))
    asked = [
        {"file_name": row["file_name"], (key := ("text", "points")[k % 2]): row[key]} for k, row in enumerate(rows)
    ]
    write_whole(drawn / ASKED, lines_of(asked))
    talk.print(f"drew {number} scenes in {drawn}; cleaning them with the bundled checkpoints", markup=False)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        os.environ.update(OWN_SERVER | {"PREFECT_HOME": home})
        os.environ.pop("PREFECT_API_URL", None)
        code = run_flow(_cleaning(drawn, target))
    talk.print("cleaning photos without a model, from boxes around what goes", markup=False)
    code = code or _clean_photos(photos)
    if code == 0:
        _draw_sheet(sheet, target, drawn, photos, [row["file_name"] for row in rows[:ON_SHEET]])
    talk.print(
        f"look at {sheet}, then at {photos}/report.html and {target}/report.html;\n"
        f"how good the scenes are: cleanplate evaluate {target} {drawn}",
        markup=False,
    )
    return code


def _cleaning(drawn: Path, target: Path) -> Job:
    """The job on the drawn scenes."""
    return Job(
        source=str(drawn / "images"),
        target=str(target),
        prompts=str(drawn / ASKED),
        model="bundled",
        dilate=DILATE,
        concat=True,
        existing="overwrite",
    )


def _clean_photos(target: Path) -> int:
    """Clean the photos that come with the package by `classic`, in this process. Returns the exit code."""
    from flows.run import run

    with as_file(files("flows.samples").joinpath("photos")) as photos:
        asked = str(photos / "prompts.jsonl")
        job = Job(source=str(photos), target=str(target), prompts=asked, model="classic", concat=True)
        return run(job.model_copy(update={"existing": "overwrite"})).exit_code


def _draw_sheet(sheet: Path, target: Path, drawn: Path, photos: Path, scenes: list[str]) -> None:
    """Before and after: the photos, the latest first, then some scenes."""
    with as_file(files("flows.samples").joinpath("photos")) as source:
        rows = sorted(_rows(photos), key=lambda row: row["source"], reverse=True)
        large = [_pair(source / row["source"], photos / row["file_name"]) for row in rows]
    done = [name for name in scenes if (target / "images" / name).exists()]
    small = [_pair(drawn / "images" / name, target / "images" / name) for name in done]
    write_whole(sheet, before_and_after(large, small))


def _pair(before: Path, after: Path) -> tuple[np.ndarray, np.ndarray]:
    return decode(before.read_bytes()).image, decode(after.read_bytes()).image


def _rows(target: Path) -> list[dict]:
    return [json.loads(line) for line in (target / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]


def _refuse_what_is_not_ours(drawn: Path, *targets: Path) -> None:
    """An earlier demo may be done again; anything else at its places is somebody's, and nothing is touched."""
    ours = {drawn: (drawn / ASKED).exists()}
    for target in targets:
        job = target / "job.toml"
        ours[target] = job.exists() and any(name in job.read_text() for name in (ASKED, PHOTOS))
    for folder, known in ours.items():
        if folder.exists() and any(folder.iterdir()) and not known:
            raise ValueError(f"{folder} holds something else; choose another target for the demo")
    sheet = drawn.parent / SHEET
    if sheet.exists() and not ours[drawn]:
        raise ValueError(f"{sheet} is not the sheet of an earlier demo; choose another target for the demo")
