"""Whether the gate without weights tells failed removals from good ones: `python -m tests.benchmarks.gate [COUNT]`.

Failures are what `there_again` calls so, which knows the truth; the gate does not. The results judged are those of
plain blending, which fails often, and of the fine-tuned checkpoint, which does not.
"""

import sys

import numpy as np

from flows.weights import quiet_libraries
from removal.bundled.scenes import scene
from removal.quality import there_again
from removal.verify import fit
from tests.benchmarks.quality import AS_WRITTEN, FIRST, fill


def main(count: int = 200) -> None:
    """Print the area under the curve of the gate's doubt, and how many of each kind it calls doubtful."""
    quiet_libraries()
    scenes = [scene(FIRST + k) for k in range(count)]
    doubts, failed = [], []
    for results in (fill("bundled-base", scenes, **AS_WRITTEN), fill("bundled", scenes)):
        for result, one in zip(results, scenes, strict=True):
            doubts.append(fit(result, one.mask).doubt)
            failed.append(there_again(result, one.truth, one.mask, one.object))
    doubt, bad = np.array(doubts), np.array(failed)
    higher = (doubt[bad][:, None] > doubt[~bad][None]).mean() + 0.5 * (doubt[bad][:, None] == doubt[~bad][None]).mean()
    print(f"{bad.sum()} of {len(bad)} failed; area under the curve {higher:.3f}")
    print(f"doubtful: {(doubt[bad] > 1).mean():.0%} of the failures, {(doubt[~bad] > 1).mean():.0%} of the others")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
