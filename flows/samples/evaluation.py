"""The quality of a result against scenes with known clean plates, beside simple fills and the ceiling."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.table import Table

from flows.errors import UsageError
from flows.formats.mask_files import decode_mask
from flows.formats.pictures import decode
from flows.places.layout import files_of
from flows.steps.loading import quiet_libraries
from masks import dilate
from removal.fills import telea
from removal.quality import measure, ring_mean, through_autoencoder

FIGURES = {
    "psnr": "PSNR dB",
    "ssim": "SSIM",
    "low_passed_psnr": "low-passed PSNR dB",
    "there_again": "object there again",
    "seam": "seam",
}


def evaluate(result: Path, scenes: Path) -> dict:
    """Mean figures of the result, of simple fills and of the ceiling, over all and over textured backgrounds.

    Every figure is taken inside the scenes' masks/ and against their truth/. Raises UsageError for other folders, or if
    the result lacks a scene.
    """
    quiet_libraries()
    rows = _rows(scenes)
    figures: dict[str, dict[str, list[dict[str, float]]]] = {"all": {}, "textured": {}}
    outside = 0
    for row in rows:
        name = row["file_name"]
        image, truth = _image(scenes / "images" / name), _image(scenes / "truth" / name)
        mask, target = _mask(scenes / "masks" / name), _mask(scenes / "objects" / name)
        cleaned = _image(result / files_of(name).image)
        own = result / files_of(name).mask
        kept = ~_mask(own) if own.exists() else np.ones_like(mask)
        outside = max(outside, int(np.abs(cleaned.astype(int) - image.astype(int))[kept].max(initial=0)))
        for fill, filled in _fills(cleaned, image, truth, mask):
            measured = measure(filled, truth, mask, target)
            for part in ("all", "textured") if row["textured"] else ("all",):
                figures[part].setdefault(fill, []).append(measured)
    means = {
        part: {
            fill: {key: float(np.mean([m[key] for m in measured])) for key in FIGURES} for fill, measured in by.items()
        }
        for part, by in figures.items()
    }
    return {"pictures": len(rows), "outside_max_diff": outside, **means}


def table(figures: dict) -> Table:
    """The figures as a table, with a row for each fill."""
    shown = Table(title=f"inside the holes of {figures['pictures']} scenes", box=None, padding=(0, 2, 0, 0))
    for column in ("backgrounds", "fill", *FIGURES.values()):
        shown.add_column(column)
    for part in ("all", "textured"):
        for fill, means in figures[part].items():
            cells = [f"{means[key]:.1%}" if key == "there_again" else f"{means[key]:.2f}" for key in FIGURES]
            shown.add_row(part, fill, *cells)
    shown.caption = f"largest difference outside the result's masks: {figures['outside_max_diff']} levels"
    return shown


def _fills(
    cleaned: np.ndarray, image: np.ndarray, truth: np.ndarray, mask: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    grown = dilate(
        mask, 1
    )  # simple fills read the pixels next to the hole, which must not hold the last trace of a shadow
    yield "result", cleaned
    yield "object left", image
    yield "ring mean", ring_mean(image, grown)
    yield "Telea", telea.fill(image, grown)
    yield "VAE ceiling", through_autoencoder([truth])[0]


def _rows(scenes: Path) -> list[dict]:
    file = scenes / "prompts.jsonl"
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line] if file.exists() else []
    if not rows or "textured" not in rows[0]:
        raise UsageError(f"{scenes} holds no scenes; `cleanplate scenes {scenes}` draws some")
    return rows


def _image(file: Path) -> np.ndarray:
    if not file.exists():
        raise UsageError(f"{file} is missing; RESULT is the target of a run on the images of SCENES")
    return decode(file.read_bytes()).image


def _mask(file: Path) -> np.ndarray:
    if not file.exists():
        raise UsageError(f"{file} is missing; RESULT is the target of a run on the images of SCENES")
    return decode_mask(file.read_bytes())
