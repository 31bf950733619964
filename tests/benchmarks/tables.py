"""Means over scenes with bootstrap intervals, as a table that can stand in the README."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from removal.bundled.scenes import Scene
from removal.quality import measure

COLUMNS = {"there_again": "again", "psnr": "PSNR", "low_passed_psnr": "low-passed", "ssim": "SSIM", "seam": "seam"}
RESAMPLES = 2000


@dataclass(frozen=True)
class Figures:
    """What `measure` says of one way to fill, a value per scene: the mean over its seeds.

    `evaluations` is how many rows of the UNet one scene costs.
    """

    values: dict[str, np.ndarray]
    evaluations: float

    @property
    def means(self) -> dict[str, float]:
        return {key: round(float(value.mean()), 4) for key, value in self.values.items()}

    @property
    def line(self) -> str:
        return ", ".join(f"{title} {shown(key, self.values[key])}" for key, title in COLUMNS.items())


def measured(scenes: list[Scene], seeds: list[list[np.ndarray]], evaluations: float = 0.0) -> Figures:
    """Every scene's figures, averaged over the results of several seeds."""
    rows = [
        [measure(result, s.truth, s.mask, s.object) for result, s in zip(results, scenes, strict=True)]
        for results in seeds
    ]
    keys = rows[0][0]
    return Figures({key: np.mean([[row[key] for row in one] for one in rows], axis=0) for key in keys}, evaluations)


def table(scenes: list[Scene], figures: dict[str, Figures]) -> str:
    """All scenes, then the textured ones: mean and half of the 95 % interval, the scenes drawn again 2,000 times."""
    textured = np.array([s.textured for s in scenes])
    lines = []
    for title, part in (("all", np.ones_like(textured)), ("textured", textured)):
        lines += [f"| {title} | UNet | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 2) + "|"]
        for name, one in figures.items():
            cells = [shown(key, one.values[key][part]) for key in COLUMNS]
            lines.append(f"| {name} | {one.evaluations:.0f} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def shown(key: str, values: np.ndarray) -> str:
    """Mean ± half of the 95 % interval, in the figure's own unit."""
    scale, digits = (100, 1) if key == "there_again" else (1, 3 if key == "ssim" else 2)
    unit = " %" if key == "there_again" else ""
    return f"{scale * values.mean():.{digits}f} ± {scale * half_interval(values):.{digits}f}{unit}"


def half_interval(values: np.ndarray) -> float:
    """Half the width of the 95 % bootstrap interval of the mean. Deterministic."""
    random = np.random.default_rng(0)
    means = values[random.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(high - low) / 2


def report(title: str, scenes: list[Scene], fills: dict[str, list[np.ndarray]]) -> None:
    """The table of ways that were each run once, and the PSNR on each background."""
    figures = {name: measured(scenes, [results]) for name, results in fills.items()}
    print(f"\n{title}, {len(scenes)} scenes\n\n{table(scenes, figures)}", flush=True)
