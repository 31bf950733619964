"""Draws the README's terminal.gif: commands of the README, typed on a real terminal, as they ran here.

    python -m tests.readme.terminal

needs DejaVu Sans Mono (Debian: fonts-dejavu-core) and a minute.
"""

from __future__ import annotations

import os
import shlex
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from pyte.screens import Char

from tests.flows.terminal import COLUMNS, OnTerminal

SESSION = [
    "cleanplate scenes s --count 96",
    "cleanplate run s/images cleaned --prompts s/prompts.jsonl --model bundled",
    "cleanplate status cleaned",
]
LINES = 16
FONT = ImageFont.truetype("DejaVuSansMono.ttf", 13)
WIDE, HIGH, EDGE = 8, 17, 10  # pixels of a character, and around all
GROUND, INK, PROMPT = (27, 31, 38), (205, 210, 218), (122, 200, 140)
COLOURS = {
    "red": (224, 108, 117), "green": (122, 200, 140), "brown": (215, 180, 110), "blue": (97, 160, 235),
    "magenta": (198, 120, 221), "cyan": (86, 182, 194), "default": INK,
}  # fmt: skip
TYPING, LONGEST, LAST = 0.04, 1.5, 5.0  # seconds: of a letter, that nothing happens, and of the end
FASTER, FRAME = 10, 0.1  # how much faster than it ran, and seconds of a frame at least


def record() -> Iterator[tuple[list[list[Char]], float]]:
    """The terminal's lines after every change, and for how many seconds they stood."""
    above: list[list[Char]] = []
    for line in SESSION:
        for typed in range(0, len(line) + 1, 2):
            yield [*above, prompt(line[:typed])], TYPING * 2
        yield [*above, prompt(line)], 0.4
        above.append(prompt(line)[:-1])
        shown = OnTerminal(*shlex.split(line)[1:], lines=LINES)
        began = time.monotonic()
        while shown._more():
            seconds, began = time.monotonic() - began, time.monotonic()
            yield [*above, *written(shown)], min(seconds / FASTER, LONGEST)
        shown.ended()
        above += written(shown)
    yield [*above, prompt("")], LAST


def prompt(typed: str) -> list[Char]:
    return [Char("$", fg="green"), *(Char(letter) for letter in f" {typed}▏")]


def written(shown: OnTerminal) -> list[list[Char]]:
    rows = [[shown.screen.buffer[y][x] for x in range(COLUMNS)] for y in range(LINES)]
    last = max((y for y, row in enumerate(rows) if any(char.data != " " for char in row)), default=-1)
    return rows[: last + 1]


def draw(rows: list[list[Char]]) -> Image.Image:
    image = Image.new("RGB", (COLUMNS * WIDE + 2 * EDGE, LINES * HIGH + 2 * EDGE), GROUND)
    pen = ImageDraw.Draw(image)
    folded = [row[k : k + COLUMNS] for row in rows for k in range(0, max(1, len(row)), COLUMNS)]
    for y, row in enumerate(folded[-LINES:]):
        for x, char in enumerate(row):
            colour = COLOURS.get(char.fg) or tuple(int(char.fg[k : k + 2], 16) for k in (0, 2, 4))
            pen.text((EDGE + x * WIDE, EDGE + y * HIGH), char.data, colour, FONT)
    return image


def main() -> None:
    here = Path(__file__).parent / "terminal.gif"
    with tempfile.TemporaryDirectory() as place:
        os.environ["PYTHONPATH"] = str(Path.cwd())
        os.chdir(place)
        frames: list[tuple[Image.Image, float]] = []
        for rows, seconds in record():
            image = draw(rows)
            if frames and image == frames[-1][0]:
                frames[-1] = image, min(frames[-1][1] + seconds, max(LONGEST, seconds))
            elif frames and frames[-1][1] < FRAME:
                frames[-1] = image, frames[-1][1] + seconds
            else:
                frames.append((image, seconds))
    some = [image for image, _ in frames[:: max(1, len(frames) // 8)]]
    sheet = Image.new("RGB", (some[0].width, some[0].height * len(some)))
    for k, image in enumerate(some):
        sheet.paste(image, (0, k * image.height))
    palette = sheet.quantize(48)
    images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image, _ in frames]
    times = [round(1000 * seconds) for _, seconds in frames]
    images[0].save(here, save_all=True, append_images=images[1:], duration=times, loop=0, optimize=True)
    print(f"{here}: {len(images)} frames, {sum(times) / 1000:.0f} s, {here.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
