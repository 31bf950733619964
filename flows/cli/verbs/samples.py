"""demo, scenes, evaluate: sample scenes whose clean plate is known."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rich.console import Console

from flows.cli.verbs.job import as_flow
from flows.cli.verbs.talk import TALK, Json, print_json


def demo(target: Path = Path("demo/result"), *, count: int = 12) -> int:
    """Clean drawn scenes with the bundled checkpoints, and two photos without a model: offline, on the CPU.

    Half the objects are named by text, half by a point. It runs as the Prefect flow, on a temporary server of its own.
    The photos are cleaned by `--model classic` from boxes. Beside TARGET lie the scenes, the photos' result, and
    before-after.jpg with the best of both.
    """
    from flows.samples.demo import run_demo

    return run_demo(target, count, as_flow, TALK)


def scenes(
    target: Path, *, count: int = 100, seed: int = 0, look: Literal["day", "night"] = "day", size: int = 128
) -> None:
    """Draw procedural scenes whose clean plate is known, with truth, masks and prompts.

    By day they look as the bundled checkpoints know them, by night as bundled-style draws them. --size is the side in
    pixels: the same scenes, more finely drawn.
    """
    from flows.samples.scenes import write_scenes

    write_scenes(target, count, seed, look, size)


def evaluate(result: Path, scenes: Path, *, json: Json = False) -> None:
    """Quality of a RESULT against the known clean plates of SCENES, beside simple fills and the ceiling."""
    from flows.samples.evaluation import evaluate as measure
    from flows.samples.evaluation import table

    figures = measure(result, scenes)
    if json:
        print_json(figures)
    else:
        Console(soft_wrap=True).print(table(figures))
