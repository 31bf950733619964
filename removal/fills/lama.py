"""LaMa: one pass of a network fills a hole, with periodic structures going on (Suvorov et al. 2022, arXiv 2109.07161).

The network is spandrel's, which reads weights without running code in them.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from removal.checkpoints.fetch import fetch
from removal.weights import sums

if TYPE_CHECKING:
    from removal.checkpoints.presets import Checkpoint
    from removal.options import Options

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
        """The same for images of one size, in one pass."""
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


def load(checkpoint: Checkpoint, options: Options) -> Lama:
    """The network of a checkpoint on its device: bfloat16 on a GPU, since half precision overflows in its FFT.

    Raises OSError for weights that are unavailable or not those of the table, ValueError for a file that holds no LaMa.
    """
    from spandrel import MaskedImageModelDescriptor, ModelLoader
    from spandrel.architectures.LaMa import LaMa

    place = fetch(checkpoint, options.offline, options.accept_license)
    file = Path(place) / checkpoint.file if checkpoint.file else Path(place)
    if checkpoint.sha256:
        sums.refuse_other(file, checkpoint.sha256, "give a file that you trust: --model FILE.safetensors")
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
