"""Sample scenes on disk."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from flows.formats.encoding import encode_image
from flows.formats.mask_files import encode_mask
from flows.places.disk import write_whole
from removal.bundled.scenes import SIZE, scene

PARTS = ("images", "truth", "masks", "objects")
FARTHEST_SEED = 1 << 20  # no scene drawn here was ever trained on
SIDES = (32, 4096)  # pixels: a thing has six of them at least, and a scene takes a gigabyte or two to draw at most


def write_scenes(target: Path, count: int, seed: int, look: str = "day", size: int = SIZE) -> None:
    """Write `count` scenes of `size` pixels a side: images/, truth/, masks/, objects/, prompts.jsonl. ValueError."""
    if count < 1 or not 0 <= seed < FARTHEST_SEED:
        raise ValueError(f"count is 1 or more and seed 0 to {FARTHEST_SEED - 1}, not {count} and {seed}")
    if not SIDES[0] <= size <= SIDES[1]:
        raise ValueError(f"a scene is {SIDES[0]} to {SIDES[1]} pixels a side, not {size}")
    draw_scenes(target, (seed * 1_000_000 + number for number in range(count)), look, size)


def draw_scenes(target: Path, numbers: Iterable[int], look: str = "day", size: int = SIZE) -> list[dict]:
    """Write the scenes of these seeds of `scene`, in their order; returns their rows in prompts.jsonl."""
    _make_room(target)
    rows = []
    for k, number in enumerate(numbers):
        drawn, name = scene(number, look, size), f"{k:04}.png"
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
    write_whole(target / "prompts.jsonl", lines_of(rows))
    return rows


def _make_room(target: Path) -> None:
    """Remove the pictures that an earlier series lists. Raises UsageError for any other, which is somebody's."""
    listed = target / "prompts.jsonl"
    rows = (
        [json.loads(line) for line in listed.read_text(encoding="utf-8").split("\n") if line] if listed.exists() else []
    )
    ours = {row["file_name"] for row in rows if "textured" in row}
    pictures = [picture for part in PARTS for picture in (target / part).glob("*")]
    if strange := [picture for picture in pictures if picture.name not in ours]:
        raise ValueError(f"{strange[0]} is not a scene drawn here; choose another target for the scenes")
    for picture in pictures:
        picture.unlink()


def lines_of(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
