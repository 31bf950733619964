"""Segment Anything (Kirillov et al. 2023) with the networks of the segment-anything library."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from masks.prompts import BoxPrompt, PointPrompt
from masks.shapes import Answer, ShapeSegmenter
from removal.weights.configs import read_config
from removal.weights.download import download
from removal.weights.strict import refuse_others

if TYPE_CHECKING:
    import torch

URL = "https://dl.fbaipublicfiles.com/segment_anything/"
PUBLISHED = {  # the file's name ends in the first digits of its SHA-256
    "vit_b": "sam_vit_b_01ec64.pth",
    "vit_l": "sam_vit_l_0b3195.pth",
    "vit_h": "sam_vit_h_4b8939.pth",
}
LARGE = 2_000_000  # pixels from which the cost of downscaling is felt: Pillow takes 90 ms for 12 million
WIDTHS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}  # of the image encoder, which identifies a .pth file's size


class SamNetwork:
    """A loaded SAM. The encoder, which takes most of the time, works in `dtype`; the small decoder stays in float32."""

    def __init__(self, sam: Any, device: str, dtype: Any):
        from segment_anything.utils.transforms import ResizeLongestSide

        from masks.attention import fuse

        self.sam, self.device, self.dtype = sam.to(device).float().eval(), device, dtype
        fuse(self.sam.image_encoder.to(dtype))
        self.side = sam.image_encoder.img_size
        self.frame = ResizeLongestSide(self.side)

    def encode(self, images: list[np.ndarray]) -> list[Any]:
        """H×W×3 uint8 images of any size → an embedding each."""
        import torch

        square = torch.stack([self.sam.preprocess(self._scaled(image).to(self.device)) for image in images])
        return list(self.sam.image_encoder(square.to(self.dtype)).float().split(1))

    def _scaled(self, image: np.ndarray) -> torch.Tensor:
        """3×h×w uint8, with the encoder's longest side. A large picture is scaled by torch, in a tenth of the time of
        the library's Pillow, and at most a level off.
        """
        import torch
        from torch.nn.functional import interpolate

        if image.shape[0] * image.shape[1] < LARGE:
            return torch.as_tensor(self.frame.apply_image(image)).permute(2, 0, 1)
        size = self.frame.get_preprocess_shape(*image.shape[:2], self.side)
        pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
        return interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True)[0]

    def boxes(self, embedding: Any, size: tuple[int, int], boxes: list[BoxPrompt]) -> list[Answer]:
        """One mask a box, since prompts other than a single point are unambiguous (paper, §3)."""
        import torch

        corners = self.frame.apply_boxes(np.array([prompt.box for prompt in boxes], np.float32), size)
        sparse, dense = self.sam.prompt_encoder(
            points=None, boxes=torch.as_tensor(corners, dtype=torch.float32, device=self.device), masks=None
        )
        return self._decode(embedding, size, sparse, dense, alone=False)

    def points(self, embedding: Any, size: tuple[int, int], points: PointPrompt) -> Answer:
        """One point may mean a part or the whole, so SAM proposes three masks; the best by its own score is taken."""
        import torch

        centres = np.array([point[:2] for point in points.points], np.float32) + 0.5  # of pixels
        places = torch.as_tensor(self.frame.apply_coords(centres, size), dtype=torch.float32, device=self.device)
        labels = torch.tensor([point[2] for point in points.points], device=self.device)
        sparse, dense = self.sam.prompt_encoder(points=(places[None], labels[None]), boxes=None, masks=None)
        return self._decode(embedding, size, sparse, dense, alone=len(points.points) == 1)[0]

    def _decode(self, embedding: Any, size: tuple[int, int], sparse: Any, dense: Any, alone: bool) -> list[Answer]:
        """The best mask of each prompt, chosen while they are small; only that one is scaled up."""
        from torch.nn.functional import interpolate

        small, scores = self.sam.mask_decoder(
            image_embeddings=embedding, image_pe=self.sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse, dense_prompt_embeddings=dense, multimask_output=alone,
        )  # fmt: skip
        height, width = self.frame.get_preprocess_shape(*size, self.side)
        answers = []
        for masks, sure in zip(small, scores, strict=True):
            best = int(sure.argmax())
            square = interpolate(masks[best][None, None], (self.side, self.side), mode="bilinear", align_corners=False)
            answers.append((square[0, 0, :height, :width], float(sure[best])))  # without the padding to a square
        return answers


def load(weights: str, device: str, offline: bool = False, dtype: Any = None) -> ShapeSegmenter:
    """SAM from a published size (vit_b, vit_l, vit_h), a `.pth` file (or the same keys in a `.safetensors`), or a
    folder with config.json and sam.pth.

    A published size is fetched once into torch's hub folder. Raises FileNotFoundError if it is missing and `offline`
    forbids fetching it, ValueError for a file without a SAM. `dtype` is the encoder's (None: float32).
    """
    import torch

    return ShapeSegmenter(SamNetwork(_network(weights, offline), device, dtype or torch.float32))


def _network(weights: str, offline: bool) -> Any:
    path = Path(os.path.expanduser(weights))
    if path.is_dir():
        return _filled(_described(path / "config.json"), _read(path / "sam.pth"), path / "sam.pth")
    import torch
    from segment_anything import sam_model_registry

    file = path if path.suffix in (".pth", ".safetensors") else fetch(weights, offline)
    state = _read(file)
    with torch.device("meta"):  # skips random weights, which take 7 s for vit_l
        sam = sam_model_registry[_size(state, path)]()
    return _filled(sam, state, file)


def _described(file: Path) -> Any:
    """The network with the sizes in a config.json. Raises ValueError, naming it, if they are invalid."""
    from masks.bundled.networks import build_sam

    sizes = read_config(file)
    try:
        return build_sam(sizes)
    except (KeyError, TypeError, ValueError, ArithmeticError, AssertionError, RuntimeError) as error:
        raise ValueError(
            f"{file} does not give the sizes of a Segment Anything network ({error!r}); sam takes a folder of such a "
            "config.json and a sam.pth, a .pth file, or vit_b, vit_l or vit_h"
        ) from error


def _filled(sam: Any, state: dict, file: Path) -> Any:
    """The network with the weights of a file. Raises ValueError, naming tensors, unless they match exactly."""
    own = sam.state_dict()
    mismatched = {name for name in own.keys() & state.keys() if own[name].shape != state[name].shape}
    refuse_others(str(file), sam, own.keys() - state.keys(), state.keys() - own.keys(), mismatched)
    sam.load_state_dict(state, assign=True)
    return sam


def fetch(size: str, offline: bool) -> Path:
    """The published weights of a size, downloaded once and checked against the digits in their name."""
    if size not in PUBLISHED:
        raise ValueError(f"unknown SAM size {size!r}; there are {', '.join(PUBLISHED)}, or the path of a .pth file")
    file = file_of(size)
    if not file.exists():
        if offline:
            raise FileNotFoundError(
                f"{file} is not there and --offline forbids fetching it; put {URL}{file.name} there"
            )
        try:
            download(URL + file.name, file, file.stem.rsplit("_", 1)[-1])
        except OSError as error:  # no connection, or a file with other content
            reason = getattr(error, "reason", None) or error
            raise OSError(
                f"the weights of SAM {size} cannot be fetched ({reason}); `cleanplate models pull NAME --segmenter "
                f"sam:{size}` does it where there is a connection, or put {URL}{file.name} at {file}"
            ) from error
    return file


def file_of(size: str) -> Path:
    """The path of a size's published weights, once they are fetched."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints" / PUBLISHED[size]


def _read(file: Path) -> dict:
    import torch

    if not file.exists():
        raise FileNotFoundError(f"no SAM weights at {file}")
    if file.suffix == ".safetensors":
        return _read_safetensors(file)
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)  # a pickle: never run its code
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise ValueError(f"{file} is broken or holds more than weights; fetch it again from {URL}") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{file} holds no Segment Anything model: it is not a table of weights")
    return {key: value.float() for key, value in state.items()}


def _read_safetensors(file: Path) -> dict:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return {key: value.float() for key, value in load_file(file).items()}
    except SafetensorError as error:
        raise ValueError(f"{file} is broken: {error}; fetch it again") from error


def _size(state: dict, path: Path) -> str:
    embedding = state.get("image_encoder.pos_embed")
    width = 0 if embedding is None else int(embedding.shape[-1])
    if width not in WIDTHS:
        raise ValueError(f"{path} holds no Segment Anything model of a published size (vit_b, vit_l, vit_h)")
    return WIDTHS[width]
