"""Pictures as large as photos, with masks: something for a run to read and write."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from flows.formats.encoding import encode_image
from flows.formats.mask_files import encode_mask


def photo(width: int, height: int, seed: int) -> np.ndarray:
    """Something with detail at every scale and a little noise, H×W×3 uint8."""
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 2, (height, width, 3)).astype(np.float32)
    for size in (8, 32, 128, 512):
        coarse = rng.normal(0, 4 * np.sqrt(size), (height // size + 2, width // size + 2, 3)).astype(np.float32)
        image += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(image + 128, 0, 255).astype(np.uint8)


def write_photos(folder: Path, pictures: int, megapixels: float) -> None:
    """`folder`/images and `folder`/masks: PNG of 4 : 3, with a mask of a 36th in the middle."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = height * 4 // 3
    mask = np.zeros((height, width), bool)
    mask[height // 3 : height // 2, width // 3 : width // 2] = True
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(pictures):
        image = encode_image(photo(width, height, number % 4))
        (folder / "images" / f"{number:04}.png").write_bytes(image)
        (folder / "masks" / f"{number:04}.png").write_bytes(encode_mask(mask))
