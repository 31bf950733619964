"""Whether the verdict tells failed removals from good ones: `python -m tests.benchmarks.gate [COUNT]`.

Masks are found as in a run, half by a phrase and half by a point. Results are those of the fine-tuned checkpoint,
objects that were left, and what plain blending drew in their place. The truth says what has failed: an object
there again, or colours or detail far from it; what is neither good nor bad is left out. No judge knows it.
"""

import sys
from dataclasses import dataclass

import numpy as np

from flows.formats.encoding import encode_image
from flows.formats.pictures import decode
from flows.job import Job
from flows.outcome import Outcome
from flows.steps.ladder import Masked
from flows.steps.loading import quiet_libraries
from flows.steps.redetect import look_again
from flows.steps.verdicts import Redetection, judge
from masks import Found, PointPrompt, Prompt, TextPrompt, dilate, dilation_radius, fill_holes, load_segmenter
from removal import load_remover
from removal.bundled.scenes import Scene, scene
from removal.quality import there_again
from removal.verify import fit
from tests.benchmarks import truth
from tests.benchmarks.quality import AS_WRITTEN, FIRST

MODELS = {"inpainting": ("bundled", {}), "blending as written": ("bundled-base", AS_WRITTEN)}


@dataclass(frozen=True)
class Judged:
    """A result, whether it failed, and the doubt of each judge."""

    made: str
    failed: bool
    doubts: dict[str, float]


def main(count: int = 100) -> None:
    """Print, for each judge and both, the area under the curve and how many of each kind it calls doubtful."""
    quiet_libraries()
    scenes = [scene(FIRST + k) for k in range(count)]
    judged = judged_results(scenes, masks_of(scenes))
    bad = np.array([one.failed for one in judged])
    print(f"{len(judged)} results, of which {bad.sum()} failed\n")
    print("| judge | area under the curve | failures it doubts | good results it doubts |\n|---|---|---|---|")
    for judge_ in ("fits", "segmenter", "both"):
        doubt = np.array([one.doubts[judge_] for one in judged])
        shares = [f"{(doubt[kind] > 1).mean():.0%}" for kind in (bad, ~bad)]
        print(f"| {judge_} | {area(doubt, bad):.3f} | {' | '.join(shares)} |")
    for made in dict.fromkeys(one.made for one in judged):
        some = [one for one in judged if one.made == made]
        print(f"\n{made}: {sum(one.failed for one in some)} of {len(some)} failed", end="")


def area(doubt: np.ndarray, failed: np.ndarray) -> float:
    """The chance that a failure is doubted more than a good result: the area under the ROC curve."""
    bad, good = doubt[failed][:, None], doubt[~failed][None]
    return float((bad > good).mean() + 0.5 * (bad == good).mean())


def masks_of(scenes: list[Scene]) -> list[Masked | None]:
    """What a run finds in each scene, every second time by a point; None where it finds nothing."""
    prompts: list[Prompt] = [
        PointPrompt(((*s.point, 1),)) if k % 2 else TextPrompt(s.target.text) for k, s in enumerate(scenes)
    ]
    found = load_segmenter("bundled", device="cpu")([s.image for s in scenes], prompts)
    return [_masked(*row) for row in zip(scenes, prompts, found, strict=True)]


def judged_results(scenes: list[Scene], masked: list[Masked | None]) -> list[Judged]:
    """Every result of every way, judged."""
    pairs = [(one, s) for one, s in zip(masked, scenes, strict=True) if one]
    some = [one for one, _ in pairs]
    images, masks = [one.picture.image for one in some], [one.mask for one in some]
    results = {"object left": images}
    for made, (model, options) in MODELS.items():
        results[made] = load_remover(model, device="cpu", **options)(images, masks, list(range(len(images))))
    found = []
    for made, painted in results.items():
        looked = look_again(Job(model="bundled", device="cpu"), some, painted)
        for result, (one, s), again in zip(painted, pairs, looked, strict=True):
            bad = there_again(result, s.truth, one.mask, s.object) or truth.failed(result, s.truth, one.mask)
            if bad is not None:
                found.append(Judged(made, bad, _doubts(result, one.mask, again or Redetection())))
    return found


def _doubts(result: np.ndarray, mask: np.ndarray, again: Redetection) -> dict[str, float]:
    return {
        "fits": fit(result, mask).doubt, "segmenter": again.doubt, "both": judge(result, mask, again).doubt,
    }  # fmt: skip


def _masked(one: Scene, prompt: Prompt, found: Found) -> Masked | None:
    if not found:
        return None
    whole = fill_holes(found.mask)
    radius = dilation_radius("10%", whole)
    asked = {"text": [prompt.text]} if isinstance(prompt, TextPrompt) else {"points": [[*one.point, 1]]}
    outcome = Outcome("scene.png", "masked", segmenter="bundled", dilate=radius, **asked)
    return Masked(outcome, decode(encode_image(one.image)), dilate(whole, radius))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
