"""Measures how close a filled hole is to the known truth, inside the hole alone. Needs no weights."""

from __future__ import annotations

import functools

import cv2
import numpy as np

from removal.crops.crop import bounds

THERE_AGAIN_LEVELS = 45
THERE_AGAIN_SHARE = 0.1
REACH = 8  # pixels around a pixel in which the truth's colours count as expected


def measure(result: np.ndarray, truth: np.ndarray, mask: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """All figures of one hole. result, truth: H×W×3 uint8; mask (object and shadow), target (object): H×W bool."""
    return {
        "psnr": psnr(result, truth, mask),
        "ssim": ssim(result, truth, mask),
        "low_passed_psnr": psnr(_blur(result, 4.0), _blur(truth, 4.0), mask),
        "there_again": float(there_again(result, truth, mask, target)),
        "seam": seam(result, mask),
    }


def psnr(result: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """Peak signal to noise in decibels inside the mask, at most 99."""
    error = ((result.astype(float) - truth.astype(float))[mask] ** 2).mean()
    return float(min(99.0, 10 * np.log10(255.0**2 / error))) if error > 0 else 99.0


def ssim(result: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004; Gaussian window of 1.5 pixels), averaged over channels and the mask."""
    a, b = result.astype(np.float64), truth.astype(np.float64)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = _blur(a, 1.5), _blur(b, 1.5)
    var_a = _blur(a * a, 1.5) - mean_a**2
    var_b = _blur(b * b, 1.5) - mean_b**2
    both = _blur(a * b, 1.5) - mean_a * mean_b
    map_ = (2 * mean_a * mean_b + c1) * (2 * both + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return float(map_[mask].mean())


def there_again(result: np.ndarray, truth: np.ndarray, mask: np.ndarray, target: np.ndarray) -> bool:
    """True if an object is visible in the hole.

    After a blur of 2 pixels: a connected area of over 10 % of the object whose colour is more than 45 levels (in some
    channel) away from every colour of the truth within 8 pixels.
    """
    top, bottom, left, right = bounds(mask)
    hole = (slice(top, bottom), slice(left, right))
    seen, expected = _blur(result, 2.0)[hole], _blur(truth, 2.0)
    wide = cv2.copyMakeBorder(expected, REACH, REACH, REACH, REACH, cv2.BORDER_REPLICATE)
    nearest = np.full(seen.shape[:2], np.inf)
    for dy in range(-REACH, REACH + 1):
        for dx in range(-REACH, REACH + 1):
            if dy * dy + dx * dx <= REACH * REACH:
                rows = slice(REACH + dy + top, REACH + dy + bottom)
                columns = slice(REACH + dx + left, REACH + dx + right)
                nearest = np.minimum(nearest, np.abs(seen - wide[rows, columns]).max(axis=2))
    strange = ((nearest > THERE_AGAIN_LEVELS) & mask[hole]).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(strange, connectivity=8)
    largest = stats[1:, cv2.CC_STAT_AREA].max(initial=0)
    return bool(largest > THERE_AGAIN_SHARE * max(int(target.sum()), 1))


def seam(result: np.ndarray, mask: np.ndarray) -> float:
    """Visibility of the mask's edge: change of brightness across it, over that 6 to 12 pixels away. 1 is invisible."""
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    distance = np.where(mask, inside - 0.5, 0.5 - outside).astype(np.float32)
    grey = cv2.cvtColor(result, cv2.COLOR_RGB2GRAY).astype(np.float32)
    normal = np.stack([cv2.Sobel(distance, cv2.CV_32F, 1, 0), cv2.Sobel(distance, cv2.CV_32F, 0, 1)])
    normal = normal / np.maximum(np.hypot(*normal), 1e-6)
    slope = np.stack([cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)])
    across = np.abs((slope * normal).sum(axis=0))
    edge, away = np.abs(distance) <= 1.5, (np.abs(distance) >= 6) & (np.abs(distance) <= 12)
    if not edge.any() or not away.any():
        return 1.0
    return float(across[edge].mean() / max(float(across[away].mean()), 1.0))


def ring_mean(image: np.ndarray, mask: np.ndarray, width: int = 6) -> np.ndarray:
    """The hole filled with the mean colour of a ring around it: the simplest fill there is."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    ring = (cv2.dilate(mask.astype(np.uint8), disc) > 0) & ~mask
    result = image.copy()
    result[mask] = image[ring if ring.any() else ~mask].mean(axis=0).round().astype(np.uint8)
    return result


def through_autoencoder(images: list[np.ndarray]) -> list[np.ndarray]:
    """Scenes encoded and decoded by the bundled autoencoder: no method that uses it can come closer to the truth."""
    import torch

    from removal.painting.tensors import to_images, to_tensors

    vae = _autoencoder()
    with torch.inference_mode():
        latents = vae.encode(to_tensors(images) * 2 - 1).latent_dist.mean
        return to_images(vae.decode(latents).sample / 2 + 0.5)


@functools.cache
def _autoencoder():
    import torch
    from diffusers import AutoencoderKL

    from removal.checkpoints.presets import BUNDLED
    from removal.weights.strict import strict

    return strict(AutoencoderKL, BUNDLED / "inpainting" / "vae", "the bundled autoencoder", dtype=torch.float32).eval()


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(image.astype(np.float64), (0, 0), sigma)
