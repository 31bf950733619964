"""How masks follow edges, as they are and with a guided filter: `python -m tests.benchmarks.edges [COUNT]`.

Segment Anything's logits are 256×256 for a picture of 2,048, and scaled up by bilinear interpolation. A guided filter
(He et al. 2010) over them, with the picture as its guide, moves the edge to where the colour changes. It is not built
in: what `--dilate` adds by default covers what the edge is off by (the last column), and some of photos become worse.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator

import cv2
import numpy as np
import torch

from flows.steps.loading import quiet_libraries
from masks import dilate, dilation_radius
from masks.upscaling import upscaled
from removal.bundled.scenes import scene
from removal.bundled.things import COLOURS, SHAPE_DISTANCES, SIZE
from tests.benchmarks.photos import covered

SIDE, LOGITS = 2048, 256
CELL = SIDE // LOGITS  # pixels to a logit, and the filter's radius
EDGE = 4  # pixels: how deep the boundary is that is compared (boundary IoU, Cheng et al. 2021)
EPSILON = 1e-4  # of guides from 0 to 1
WOBBLE = 0.5  # logits by which a network's edge lies beside the true one


def main(count: int = 6) -> None:
    """Print boundary IoU and what of the object stays uncovered once the mask is dilated, for every kind of logits."""
    quiet_libraries()
    print("| pictures | logits | edge | boundary IoU | worse | uncovered after `--dilate` |\n|---|---|---|---|---|---|")
    for pictures, drawn in (("scenes", _scenes(count)), ("photos", _photos(count))):
        figures = defaultdict(list)
        for number, (image, truth) in enumerate(drawn):
            for kind, logits in _logits(truth, number).items():
                before = None
                for edge, mask in _masks(logits, image):
                    grown = dilate(mask, dilation_radius("10%", mask))
                    of_edge = boundary_iou(mask, truth)
                    before = of_edge if before is None else before
                    figures[kind, edge].append((of_edge, of_edge < before - 0.02, (truth & ~grown).sum() / truth.sum()))
        for (kind, edge), each in figures.items():
            iou, worse, left = np.mean(each, axis=0)
            print(f"| {pictures} | {kind} | {edge} | {iou:.2f} | {worse:.0%} | {left:.2%} |", flush=True)


def _masks(logits: torch.Tensor, image: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    yield "as it is", upscaled(logits, *image.shape[:2])
    share = cv2.resize(logits.sigmoid().numpy(), image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    guide = image.astype(np.float32) / 255
    yield "guided by grey", guided(cv2.cvtColor(guide, cv2.COLOR_RGB2GRAY)[..., None], share) > 0.5
    yield "guided by colour", guided(guide, share) > 0.5


def guided(guide: np.ndarray, share: np.ndarray) -> np.ndarray:
    """`share` (H×W, 0..1) as a linear function of `guide` (H×W×C, 0..1) in every window (He et al. 2010, eq. 14-16)."""
    channels, (height, width) = guide.shape[2], share.shape
    mean_guide, mean_share = _mean(guide), _mean(share)
    products = _mean((guide[..., :, None] * guide[..., None, :]).reshape(height, width, -1))
    spread = products.reshape(height, width, channels, channels) - mean_guide[..., :, None] * mean_guide[..., None, :]
    common = _mean(guide * share[..., None]) - mean_guide * mean_share[..., None]
    slope = np.linalg.solve(spread + EPSILON * np.eye(channels, dtype=np.float32), common[..., None])[..., 0]
    return (_mean(slope) * guide).sum(axis=2) + _mean(mean_share - (slope * mean_guide).sum(axis=2))


def _mean(values: np.ndarray) -> np.ndarray:
    window = (2 * CELL + 1, 2 * CELL + 1)
    if values.ndim == 2:
        return cv2.blur(values, window)
    return np.stack([cv2.blur(values[..., k], window) for k in range(values.shape[2])], axis=2)


def _logits(truth: np.ndarray, seed: int) -> dict[str, torch.Tensor]:
    """The best logits that a truth (H×W bool) can have, and the same with an edge that wobbles as a network's does."""
    height, width = (side // CELL for side in truth.shape)
    best = (cv2.resize(truth.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) - 0.5) * 10
    noise = np.random.default_rng(seed).normal(0, 1, (height, width, 2)).astype(np.float32)
    field = cv2.GaussianBlur(noise, (0, 0), 4)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + WOBBLE * np.moveaxis(field / field.std(), 2, 0)
    return {"exact": torch.tensor(best), "wobbling": torch.tensor(cv2.remap(best, x, y, cv2.INTER_LINEAR))}


def boundary_iou(mask: np.ndarray, truth: np.ndarray) -> float:
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * EDGE + 1, 2 * EDGE + 1))
    edges = [one & (cv2.erode(one.astype(np.uint8), brush, borderValue=0) == 0) for one in (mask, truth)]
    return float((edges[0] & edges[1]).sum() / max(1, (edges[0] | edges[1]).sum()))


def _scenes(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Scenes whose target is drawn at full resolution, and where it is."""
    for seed in range(6_000_000, 6_000_000 + count):
        one = scene(seed)
        thing, scale = one.target, SIDE / SIZE
        plate = cv2.resize(one.truth.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
        x, y = x - thing.x * scale, y - thing.y * scale
        cos, sin = np.cos(thing.angle), np.sin(thing.angle)
        away = SHAPE_DISTANCES[thing.shape](cos * x + sin * y, cos * y - sin * x, thing.radius * scale)
        cover = np.clip(0.5 - away, 0, 1)[..., None]
        shade = 0.94 - 0.1 * (x * thing.light[0] + y * thing.light[1]) / (thing.radius * scale)
        image = plate * (1 - cover) + np.array(COLOURS[thing.colour], np.float32) * shade[..., None] * cover
        image += np.random.default_rng(seed).normal(0, 3, image.shape)
        yield np.clip(image + 0.5, 0, 255).astype(np.uint8), away < 0


def _photos(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Photos with an object cut from another one: textures on both sides of the edge. 512 pixels, 64 logits."""
    every = covered()
    yield from ((one.image, one.object) for one in every[:: max(1, len(every) // (4 * count))])


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
