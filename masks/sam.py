"""Points and boxes to masks with Segment Anything (Kirillov et al. 2023), through the segment-anything library."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np

from masks.morphology import outline
from masks.prompts import BoxPrompt, Found, PointPrompt, Prompt, nothing

URL = "https://dl.fbaipublicfiles.com/segment_anything/"
PUBLISHED = {  # the file's name ends in the first digits of its SHA-256
    "vit_b": "sam_vit_b_01ec64.pth",
    "vit_l": "sam_vit_l_0b3195.pth",
    "vit_h": "sam_vit_h_4b8939.pth",
}
WIDTHS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}  # of the image encoder, which tells a .pth file's size


class SamSegmenter:
    """A loaded SAM. Takes point and box prompts; the image encoder runs once per image, however many prompts it has."""

    def __init__(self, sam, device: str):
        from segment_anything import SamPredictor

        self.predictor = SamPredictor(sam.to(device).eval())

    def __call__(self, images: list[np.ndarray], prompts: list[Prompt]) -> list[Found]:
        """images: H×W×3 uint8 RGB, one prompt each. A prompt outside its image raises ValueError."""
        found, current = [], None
        for image, prompt in zip(images, prompts, strict=True):
            _inside(prompt, image)
            if image is not current:
                self.predictor.set_image(image)
                current = image
            found.append(self._find(image, prompt))
        return found

    def boxes(self, image: np.ndarray, boxes: list[tuple[float, float, float, float]]) -> np.ndarray:
        """One mask for all boxes of an image: their union, H×W bool."""
        height, width = image.shape[:2]
        inside = [(max(0, b[0]), max(0, b[1]), min(width, b[2]), min(height, b[3])) for b in boxes]
        prompts: list[Prompt] = [BoxPrompt(b) for b in inside if b[0] < b[2] and b[1] < b[3]]
        found = self([image] * len(prompts), prompts)
        return np.logical_or.reduce([nothing(image).mask, *(f.mask for f in found)])

    def _find(self, image: np.ndarray, prompt: Prompt) -> Found:
        if isinstance(prompt, BoxPrompt):
            question = {"box": np.array(prompt.box, np.float32)}
        else:
            assert isinstance(prompt, PointPrompt)
            question = {
                "point_coords": np.array([point[:2] for point in prompt.points], np.float32) + 0.5,  # pixel centres
                "point_labels": np.array([point[2] for point in prompt.points]),
            }
        # One point may mean a part or the whole, so SAM proposes three masks; more prompts settle it (paper, §3).
        alone = isinstance(prompt, PointPrompt) and len(prompt.points) == 1
        proposed, scores, _ = self.predictor.predict(**question, multimask_output=alone)
        best = int(np.argmax(scores))
        mask = proposed[best].astype(bool)
        if not mask.any():
            return nothing(image)
        return Found(mask, float(np.clip(scores[best], 0, 1)), (outline(mask),))


def load(weights: str, device: str, offline: bool = False) -> SamSegmenter:
    """SAM from a published size (vit_b, vit_l, vit_h), a `.pth` file, or a folder with config.json and sam.pth.

    A published size is fetched once into torch's hub folder. Raises FileNotFoundError when it is not there and
    `offline` forbids fetching it, ValueError for a file that holds no SAM.
    """
    path = Path(weights).expanduser()
    if path.is_dir():
        from masks.bundled.networks import build_sam

        sam = build_sam(json.loads((path / "config.json").read_text()))
        sam.load_state_dict(_read(path / "sam.pth"))
        return SamSegmenter(sam, device)
    from segment_anything import sam_model_registry

    state = _read(path if path.suffix == ".pth" else fetch(weights, offline))
    size = _size(state, path)
    sam = sam_model_registry[size]()
    sam.load_state_dict(state)
    return SamSegmenter(sam, device)


def fetch(size: str, offline: bool) -> Path:
    """The published weights of a size, downloaded once and checked against the digits in their name."""
    import torch

    if size not in PUBLISHED:
        raise ValueError(f"unknown SAM size {size!r}; there are {', '.join(PUBLISHED)}, or the path of a .pth file")
    file = Path(torch.hub.get_dir()) / "checkpoints" / PUBLISHED[size]
    if not file.exists():
        if offline:
            raise FileNotFoundError(
                f"{file} is not there and --offline forbids fetching it; put {URL}{file.name} there"
            )
        file.parent.mkdir(parents=True, exist_ok=True)
        digits = file.stem.rsplit("_", 1)[-1]
        torch.hub.download_url_to_file(URL + file.name, str(file), hash_prefix=digits)
    return file


def _read(file: Path) -> dict:
    import torch

    if not file.exists():
        raise FileNotFoundError(f"no SAM weights at {file}")
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)  # a pickle: never run what is in it
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise ValueError(f"{file} is broken or holds more than weights; fetch it again from {URL}") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{file} holds no Segment Anything model: it is no table of weights")
    return {key: value.float() for key, value in state.items()}


def _size(state: dict, path: Path) -> str:
    embedding = state.get("image_encoder.pos_embed")
    width = 0 if embedding is None else int(embedding.shape[-1])
    if width not in WIDTHS:
        raise ValueError(f"{path} holds no Segment Anything model of a published size (vit_b, vit_l, vit_h)")
    return WIDTHS[width]


def _inside(prompt: Prompt, image: np.ndarray) -> None:
    height, width = image.shape[:2]
    if isinstance(prompt, PointPrompt):
        for x, y, _ in prompt.points:
            if not (0 <= x < width and 0 <= y < height):
                raise ValueError(f"point {x:g},{y:g} lies outside the picture of {width}×{height} pixels")
    elif isinstance(prompt, BoxPrompt):
        left, top, right, bottom = prompt.box
        if left >= width or top >= height or right <= 0 or bottom <= 0:
            raise ValueError(f"box {prompt.box} lies outside the picture of {width}×{height} pixels")
