"""Sample scenes on disk, and the demo that cleans them."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

from rich.console import Console

from flows.formats.encoding import encode_image
from flows.formats.mask_files import encode_mask
from flows.job import Job
from flows.places.disk import write_whole
from flows.settings.paths import local_path
from removal.bundled.scenes import scene

# Prefect's temporary server, on its own: no server or history of the user's, nothing asked of the network.
OWN_SERVER = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_PROFILE": "ephemeral",
}
ASKED = "demo.jsonl"
PHOTOS = "samples/photos"
DEMO_SEED = 7
PARTS = ("images", "truth", "masks", "objects")
FARTHEST_SEED = 1 << 20  # so that no scene drawn here was ever trained on


def write_scenes(target: Path, count: int, seed: int, look: str = "day") -> None:
    """Write `count` scenes with images/, truth/, masks/, objects/ and prompts.jsonl. Raises ValueError."""
    if count < 1 or not 0 <= seed < FARTHEST_SEED:
        raise ValueError(f"count is 1 or more and seed 0 to {FARTHEST_SEED - 1}, not {count} and {seed}")
    _make_room(target)
    rows = []
    for number in range(count):
        drawn, name = scene(_number(seed, number), look), f"{number:04}.png"
        write_whole(target / "images" / name, encode_image(drawn.image))
        write_whole(target / "truth" / name, encode_image(drawn.truth))
        write_whole(target / "masks" / name, encode_mask(drawn.mask))
        write_whole(target / "objects" / name, encode_mask(drawn.object))
        rows.append(
            {
                "file_name": name,
                "text": drawn.target.text,
                "points": [[*drawn.point, 1]],
                "background": drawn.background,
                "textured": drawn.textured,
            }
        )
    write_whole(target / "prompts.jsonl", _lines(rows))


def _number(seed: int, number: int) -> int:
    return seed * 1_000_000 + number


def _make_room(target: Path) -> None:
    """Remove the pictures that an earlier series lists; any other in these folders is somebody's and refused."""
    listed = target / "prompts.jsonl"
    rows = (
        [json.loads(line) for line in listed.read_text(encoding="utf-8").split("\n") if line] if listed.exists() else []
    )
    ours = {row["file_name"] for row in rows if "textured" in row}
    pictures = [picture for part in PARTS for picture in (target / part).glob("*")]
    if strange := [picture for picture in pictures if picture.name not in ours]:
        raise ValueError(f"{strange[0]} is no scene drawn here; choose another target for the scenes")
    for picture in pictures:
        picture.unlink()


def run_demo(target: Path, count: int, run_flow: Callable[[Job], int], talk: Console) -> int:
    """Draw scenes beside `target` and clean them, half by text and half by points; then the photos of the package.

    Returns the flow's exit code, or that of the photos.
    """
    target = local_path(target)
    drawn, photos = target.parent / "scenes", target.parent / "photos"
    _refuse_what_is_not_ours(drawn, target, photos)
    write_scenes(drawn, count, DEMO_SEED)
    write_whole(drawn / ASKED, _lines(_asked(drawn)))
    talk.print(f"drew {count} scenes in {drawn}; cleaning them with the bundled checkpoints", markup=False)
    cleaning = Job(
        source=str(drawn / "images"),
        target=str(target),
        prompts=str(drawn / ASKED),
        model="bundled",
        concat=True,
        existing="overwrite",
    )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        os.environ.update(OWN_SERVER | {"PREFECT_HOME": home})
        os.environ.pop("PREFECT_API_URL", None)
        code = run_flow(cleaning)
    talk.print("cleaning photos without a model, from boxes around what goes", markup=False)
    code = code or _clean_photos(photos)
    talk.print(
        f"look at {target}/report.html and, for the photos, {photos}/report.html;\n"
        f"how good the scenes are: cleanplate evaluate {target} {drawn}",
        markup=False,
    )
    return code


def _asked(drawn: Path) -> list[dict]:
    """Rows of prompts for the demo's scenes, half by text and half by points, in turn.

    By text only where the colour tells what is meant: of two things of one colour the bundled segmenter takes both.
    """
    rows = [json.loads(line) for line in (drawn / "prompts.jsonl").read_text(encoding="utf-8").split("\n") if line]
    asked, texts = [], 0
    for k, row in enumerate(rows):
        by_text = 2 * texts <= k and scene(_number(DEMO_SEED, k)).told_by_colour
        texts += by_text
        key = "text" if by_text else "points"
        asked.append({"file_name": row["file_name"], key: row[key]})
    return asked


def _clean_photos(target: Path) -> int:
    """Clean the photos that come with the package by `classic`, in this process. Returns the exit code."""
    from flows.run import run

    with as_file(files("flows.samples").joinpath("photos")) as photos:
        asked = str(photos / "prompts.jsonl")
        job = Job(source=str(photos), target=str(target), prompts=asked, model="classic", dilate=18, concat=True)
        return run(job.model_copy(update={"existing": "overwrite"})).exit_code


def _refuse_what_is_not_ours(drawn: Path, *targets: Path) -> None:
    """An earlier demo may be done again; anything else at its places is somebody's, and nothing is touched."""
    ours = {drawn: (drawn / ASKED).exists()}
    for target in targets:
        job = target / "job.toml"
        ours[target] = job.exists() and any(name in job.read_text() for name in (ASKED, PHOTOS))
    for folder, known in ours.items():
        if folder.exists() and any(folder.iterdir()) and not known:
            raise ValueError(f"{folder} holds something else; choose another target for the demo")


def _lines(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
