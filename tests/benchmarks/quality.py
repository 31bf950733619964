"""How well every method fills the holes of unseen scenes with every bundled checkpoint: `make quality`.

Beside them simple fills and the ceiling. The masks are the scenes' own (object and shadow); two seeds each. Sheets with
every scene (image, result, truth) are for the eye, figures.jsonl for other tables.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from flows.steps.loading import quiet_libraries
from masks import dilate
from removal import load_remover
from removal.bundled.scenes import Scene, scene
from removal.fills import patchmatch, telea
from removal.quality import ring_mean, through_autoencoder
from removal.verify import fit
from tests.benchmarks.sheets import write_sheets
from tests.benchmarks.tables import Figures, measured, table

FIRST = 3_000_000  # the scenes of `cleanplate scenes --seed 3`
AS_WRITTEN = {"method": "blending", "prefill": False}  # as the article has it: full strength, the object still there
METHODS = {
    "day": {
        "`bundled`, inpainting": ("bundled", {}),
        "`bundled`, hole attention": ("bundled", {"attention": "hole"}),
        "`bundled`, attentive": ("bundled", {"method": "attentive"}),
        "`bundled-base`, blending as written": ("bundled-base", AS_WRITTEN),
        "the same, hole attention": ("bundled-base", {**AS_WRITTEN, "attention": "hole"}),
        "`bundled-base`, blending": ("bundled-base", {"method": "blending"}),
        "`bundled-base`, attentive": ("bundled-base", {"method": "attentive"}),
        "`bundled-style`, blending, by day unseen": ("bundled-style", {"method": "blending"}),
    },
    "night": {
        "`bundled`, inpainting": ("bundled", {}),
        "`bundled-style`, blending as written": ("bundled-style", AS_WRITTEN),
        "the same, hole attention": ("bundled-style", {**AS_WRITTEN, "attention": "hole"}),
        "`bundled-style`, blending": ("bundled-style", {"method": "blending"}),
        "`bundled-style`, attentive": ("bundled-style", {"method": "attentive"}),
    },
}
SHOWN = {"day": "`bundled`, inpainting", "night": "`bundled-style`, blending"}  # on the sheets


def main() -> None:
    """Print one table by day and one by night; write sheets and figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--look", choices=[*METHODS], nargs="*", default=[*METHODS])
    parser.add_argument("--skip", default="", help="methods with this in their name, such as attentive, which is slow")
    parser.add_argument("--into", type=Path, default=Path("demo/quality"))
    given = parser.parse_args()
    quiet_libraries()
    for look in given.look:
        scenes = [scene(FIRST + k, look=look) for k in range(given.count)]
        figures = {name: measured(scenes, [results]) for name, results in simple_fills(scenes).items()}
        for name, (model, options) in METHODS[look].items():
            if given.skip in name.split():
                continue
            seeds, evaluations = fills(model, scenes, given.seeds, **options)
            figures[name] = measured(scenes, seeds, evaluations)
            print(f"{look}, {name}: {figures[name].line}", flush=True)
            if given.seeds > 1 and "as written" in name:
                best = [best_of([results[k] for results in seeds], s.mask) for k, s in enumerate(scenes)]
                figures[f"the same, best of {given.seeds}"] = measured(scenes, [best], evaluations * given.seeds)
            if name == SHOWN[look]:
                write_sheets(given.into / look, scenes, seeds[0])
        figures["ceiling: truth through the autoencoder"] = measured(
            scenes, [through_autoencoder([s.truth for s in scenes])]
        )
        print(f"\nBy {look}, {len(scenes)} scenes, {given.seeds} seeds\n\n{table(scenes, figures)}\n", flush=True)
        save(given.into / f"{look}.jsonl", figures)


def simple_fills(scenes: list[Scene]) -> dict[str, list[np.ndarray]]:
    """What needs no weights. They read the pixels beside the hole, which must not be the shadow's last trace."""
    images, grown = [s.image for s in scenes], [dilate(s.mask, 1) for s in scenes]
    return {
        "object left": images,
        "mean colour of the ring": [ring_mean(image, mask) for image, mask in zip(images, grown, strict=True)],
        "OpenCV's Telea": [telea.fill(image, mask) for image, mask in zip(images, grown, strict=True)],
        "PatchMatch": [patchmatch.fill(image, mask) for image, mask in zip(images, grown, strict=True)],
    }


def fill(model: str, scenes: list[Scene], **options) -> list[np.ndarray]:
    """The scenes with their holes filled once."""
    return fills(model, scenes, 1, **options)[0][0]


def fills(model: str, scenes: list[Scene], seeds: int, **options) -> tuple[list[list[np.ndarray]], float]:
    """The scenes filled with every seed, and how often the UNet was evaluated for one scene."""
    remove = load_remover(model, device="cpu", **options)
    images, masks, rows = [s.image for s in scenes], [s.mask for s in scenes], 0

    def count(_module, given, named) -> None:
        nonlocal rows
        rows += len(given[0] if given else named["sample"])

    hook = remove.paint.pipeline.unet.register_forward_pre_hook(count, with_kwargs=True)
    try:
        made = [remove(images, masks, [k + seed * len(scenes) for k in range(len(scenes))]) for seed in range(seeds)]
    finally:
        hook.remove()
    return made, rows / len(scenes) / seeds


def best_of(results: list[np.ndarray], mask: np.ndarray) -> np.ndarray:
    """What `--tries` would keep: the result that the gate doubts least."""
    return min(results, key=lambda result: fit(result, mask).doubt)


def save(file: Path, figures: dict[str, Figures]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = ({"fill": name, "evaluations": one.evaluations, **one.means} for name, one in figures.items())
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
