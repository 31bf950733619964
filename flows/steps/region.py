"""The region that is searched: text is looked for in a part of the picture only, and nothing is masked outside it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from masks import Found, Prompt, TextPrompt
from masks.prompts import union
from masks.region import Region, cut_off, placed

WHOLE = "0,0,100%,100%"
Looked = Found | Exception | None
Look = Callable[[list[np.ndarray], list[list[Prompt]]], list[Looked]]


def in_region(
    regions: list[str], images: list[np.ndarray], asked: list[list[Prompt]], kept: list[list[Prompt]], look: Look
) -> tuple[list[Looked], list[Looked]]:
    """The finds of `look` for the prompts `asked` within every image's region, and for those `kept` anywhere in it.

    Phrases are looked for in the region alone, which also shows small things larger. Points and boxes are in pixels of
    the whole picture and answered from it; their finds are cut off at the region's sides.
    """
    parts = [Region.parse(region or WHOLE) for region in regions]
    texts: list[list[Prompt]] = [[prompt for prompt in some if isinstance(prompt, TextPrompt)] for some in asked]
    shapes: list[list[Prompt]] = [[prompt for prompt in some if not isinstance(prompt, TextPrompt)] for some in asked]
    crops, refused = [], {}
    for k, image in enumerate(images):
        try:
            crops.append(np.ascontiguousarray(image[parts[k].of(image)]) if texts[k] and regions[k] else image)
        except ValueError as error:
            refused[k] = error
            crops.append(image)
            texts[k] = shapes[k] = []
    looked = look([*crops, *images, *images], [*texts, *shapes, *kept])
    count = len(images)
    found = [refused.get(k) or _joined(looked[k], looked[count + k], images[k], parts[k]) for k in range(count)]
    return found, looked[2 * count :]


def _joined(text: Looked, shape: Looked, image: np.ndarray, region: Region) -> Looked:
    for one in (text, shape):
        if isinstance(one, Exception):
            return one
    found = []
    if isinstance(text, Found):
        found.append(placed(text, image, region.of(image)))
    if isinstance(shape, Found):
        found.append(cut_off(shape, region.of(image)))
    return union(found) if found else None
