"""LaMa: one pass of a network fills a hole, with periodic structures going on (Suvorov et al. 2022, arXiv 2109.07161).

The network is spandrel's, which reads weights without running code in them. It was trained at 256 pixels: what lies
deeper in a hole than it ever saw comes out as a smear, or as a grid. So a hole wider than those of its training is
filled twice, small and at full size, and the small one gives the coarse shape: the idea of LaMa's own refinement
(Kulshreshtha et al. 2022, arXiv 2206.13644), which goes from the one to the other by gradients.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from removal.checkpoints.fetch import weights_file
from removal.fills.detail import touched

if TYPE_CHECKING:
    from removal.checkpoints.presets import Checkpoint
    from removal.options import Options

WIDE = 128  # pixels that a hole may be wide in its narrow direction: half the side that the network was trained at
CELL, LEAST = 8, 16  # sides are multiples of the one and no shorter than the other


@dataclass(frozen=True)
class Lama:
    """A loaded network; fills one image as a `Fill`, or several of one size in a batch. May be called by any thread."""

    network: Any
    device: str = "cpu"
    dtype: str = "float32"
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __call__(self, image: np.ndarray, mask: np.ndarray, avoid: np.ndarray | None = None) -> np.ndarray:
        """`image` (H×W×3 uint8) with the masked pixels (H×W bool) filled. The network has nothing to `avoid` with."""
        return self.batch([image], [mask])[0]

    def batch(self, images: list[np.ndarray], masks: list[np.ndarray]) -> list[np.ndarray]:
        """The same for images of one size, in one pass, and a small one more for holes that are wide."""
        filled = self._pass(images, masks)
        for size, which in _wide(masks).items():
            shapes = self._pass(
                [cv2.resize(images[k], size, interpolation=cv2.INTER_AREA) for k in which],
                [touched(masks[k], size) for k in which],
            )
            for k, shape in zip(which, shapes, strict=True):
                filled[k] = _with_shape(filled[k], masks[k], shape)
        return filled

    def _pass(self, images: list[np.ndarray], masks: list[np.ndarray]) -> list[np.ndarray]:
        import torch
        from torch.nn.functional import pad

        kind = getattr(torch, self.dtype)
        height, width = masks[0].shape
        more = [max(-(-side // CELL) * CELL, LEAST) - side for side in (height, width)]
        seen = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
        holes = torch.from_numpy(np.stack(masks))[:, None].float()
        beside = (0, more[1], 0, more[0])
        around = "reflect" if more[0] < height and more[1] < width else "replicate"
        seen, holes = (pad(one, beside, mode=around).to(self.device, kind) for one in (seen, holes))
        with self._turn, torch.inference_mode():
            made = self.network(seen, holes)[:, :, :height, :width].float().clamp(0, 1)
        filled = (made * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        return [np.where(mask[..., None], one, image) for one, mask, image in zip(filled, masks, images, strict=True)]


def _wide(masks: list[np.ndarray]) -> dict[tuple[int, int], list[int]]:
    """The masks (H×W bool) with a wide hole, with the width and height at which it would not be."""
    found: dict[tuple[int, int], list[int]] = {}
    for k, mask in enumerate(masks):
        width = 2 * float(_depth(mask).max())
        if width > WIDE:
            size = [max(LEAST, round(side * WIDE / width)) for side in mask.shape[::-1]]
            found.setdefault((size[0], size[1]), []).append(k)
    return found


def _with_shape(fine: np.ndarray, mask: np.ndarray, small: np.ndarray) -> np.ndarray:
    """A fill (H×W×3 uint8) with its own detail and, away from the hole's edge, the coarse shape of a small one.

    What the small one resolves is taken from it; at the edge the fine one knows better.
    """
    height, width = mask.shape
    sigma = 0.6 * width / small.shape[1]
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    other = cv2.GaussianBlur(large.astype(np.float32) - fine, (0, 0), sigma)
    share = np.clip(_depth(mask) / (4 * sigma), 0, 1)[..., None]
    return (fine + share * other).round().clip(0, 255).astype(np.uint8)


def _depth(mask: np.ndarray) -> np.ndarray:
    """The distance of each masked pixel from the nearest unmasked one, in pixels: H×W float32."""
    return cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def load(checkpoint: Checkpoint, options: Options) -> Lama:
    """The network of a checkpoint on its device: bfloat16 on a GPU, since half precision overflows in its FFT.

    Raises OSError for weights that are unavailable or not those of the table, ValueError for a file that holds no LaMa.
    """
    from spandrel import MaskedImageModelDescriptor, ModelLoader
    from spandrel.architectures.LaMa import LaMa

    file = weights_file(checkpoint, options.offline, options.accept_license)
    device, dtype = options.devices()[0], str(options.torch_dtype()).removeprefix("torch.")
    try:
        found = ModelLoader("cpu").load_from_file(file)
    except OSError:
        raise
    except Exception as error:  # spandrel has its own, and passes on those of pickle and torch
        raise ValueError(f"{file} holds no LaMa that can be read: {error}") from error
    if not isinstance(found, MaskedImageModelDescriptor) or not isinstance(found.model, LaMa):
        raise ValueError(f"{file} holds a network of another kind ({found.architecture.name}); LaMa fills holes")
    dtype = "bfloat16" if dtype == "float16" else dtype
    import torch

    return Lama(found.model.eval().to(device, getattr(torch, dtype)), device, dtype)
