"""How well every bundled model fills the holes of unseen scenes, beside simple fills and the ceiling: `make quality`.

The masks are the scenes' own (object and shadow). Sheets with every scene (image, result, truth) are for the eye.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from flows.weights import quiet_libraries
from masks import dilate
from removal import load_remover
from removal.bundled.scenes import Scene, scene
from removal.quality import measure, ring_mean, through_autoencoder
from removal.telea import TeleaRemover

FIRST = 3_000_000  # the scenes of `cleanplate scenes --seed 3`
FIGURES = ("psnr", "ssim", "there_again", "seam")
SHEET = (6, 5)  # rows and scenes a row


def main() -> None:
    """Print one table by day and one by night; write sheets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--sheets", type=Path, default=Path("demo/quality"))
    given = parser.parse_args()
    quiet_libraries()
    day = [scene(FIRST + k) for k in range(given.count)]
    fills = simple_fills(day)
    fills["bundled"] = fill("bundled", day)
    fills["bundled-base, blending"] = fill("bundled-base", day, method="blending")
    fills["ceiling"] = through_autoencoder([s.truth for s in day])
    report("by day", day, fills)
    write_sheets(given.sheets / "day", day, fills["bundled"])
    night = [scene(FIRST + k, look="night") for k in range(given.count)]
    fills = simple_fills(night)
    fills["bundled"] = fill("bundled", night)
    fills["bundled-style, blending"] = fill("bundled-style", night, method="blending")
    fills["bundled-style, added"] = fill("bundled-style", night, method="add-difference")
    fills["ceiling"] = through_autoencoder([s.truth for s in night])
    report("by night", night, fills)
    write_sheets(given.sheets / "night", night, fills["bundled-style, blending"])


def simple_fills(scenes: list[Scene]) -> dict[str, list[np.ndarray]]:
    """What needs no weights. They read the pixels beside the hole, which must not be the shadow's last trace."""
    images, grown = [s.image for s in scenes], [dilate(s.mask, 1) for s in scenes]
    return {
        "object left": images,
        "ring mean": [ring_mean(image, mask) for image, mask in zip(images, grown, strict=True)],
        "Telea": TeleaRemover()(images, grown, [0] * len(scenes)),
    }


def fill(model: str, scenes: list[Scene], **options) -> list[np.ndarray]:
    remove = load_remover(model, device="cpu", **options)
    return remove([s.image for s in scenes], [s.mask for s in scenes], seeds=list(range(len(scenes))))


def report(title: str, scenes: list[Scene], fills: dict[str, list[np.ndarray]]) -> None:
    """Means over all scenes, over the textured ones, and the PSNR on each background."""
    kinds = sorted({s.background for s in scenes})
    textured = np.array([s.textured for s in scenes])
    print(
        f"\n{title}: {len(scenes)} scenes, {textured.sum()} of them textured; PSNR dB, SSIM, object there again, seam"
    )
    print(f"{'':24}{'all':^32}{'textured':^32}" + "".join(f"{kind:>10}" for kind in kinds))
    for name, results in fills.items():
        rows = [measure(r, s.truth, s.mask, s.object) for r, s in zip(results, scenes, strict=True)]
        of = {key: np.array([row[key] for row in rows]) for key in FIGURES}
        parts = [
            f"{of['psnr'][part].mean():7.2f}{of['ssim'][part].mean():7.3f}"
            f"{of['there_again'][part].mean():9.1%}{of['seam'][part].mean():7.2f}  "
            for part in (np.ones_like(textured), textured)
        ]
        by = [of["psnr"][[s.background == kind for s in scenes]].mean() for kind in kinds]
        print(f"{name:24}" + "".join(parts) + "".join(f"{value:10.1f}" for value in by), flush=True)


def write_sheets(folder: Path, scenes: list[Scene], results: list[np.ndarray]) -> None:
    """Every scene as image, result and truth side by side, doubled in size, a page of thirty at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, columns = SHEET
    strips = [np.hstack([s.image, r, s.truth]) for s, r in zip(scenes, results, strict=True)]
    strips += [np.zeros_like(strips[0])] * (-len(strips) % (rows * columns))
    for page in range(len(strips) // (rows * columns)):
        first = page * rows * columns
        lines = [np.hstack(strips[first + k * columns : first + (k + 1) * columns]) for k in range(rows)]
        cv2.imwrite(str(folder / f"{page:02}.png"), np.vstack(lines)[..., ::-1])


if __name__ == "__main__":
    main()
