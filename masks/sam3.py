"""Segment Anything 3 (Carion et al. 2025): every object that a phrase names, with its mask, by transformers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from masks.encoding import batches_for, rows_of
from masks.grounding import ByKind
from masks.prompts import Found, Instance, Prompt, TextPrompt, all_of, nothing, threshold_of
from masks.sam2 import Sam2Network
from masks.shapes import ShapeSegmenter
from masks.upscaling import upscaled
from removal.weights.configs import read_config
from removal.weights.hub import Unavailable
from removal.weights.networks import Weights

# The published checkpoint is the video model's, with other names of modules than the tracker for single pictures.
# transformers 5.24 renames all but the decoder's, and would initialise that at random.
TRACKER = {
    r"^tracker_model\.": "",
    r"^tracker_neck\.": "vision_encoder.neck.",
    r"^detector_model\.vision_encoder\.backbone\.": "vision_encoder.backbone.",
}


OPEN = (
    "--segmenter sam3:yonigozlan/sam3-litetext-s0 is open to everybody and takes text, "
    "and llmdet-sam takes text, points and boxes"
)


@dataclass(frozen=True)
class Phrase:
    """A phrase as the network reads it: 1×tokens×width embeddings, and which tokens count."""

    embeddings: Any
    counts: Any


class Sam3TextSegmenter:
    """Takes text prompts. A picture is encoded once for all its phrases, a phrase once for all pictures."""

    def __init__(self, weights: Weights, device: str, threshold: float, dtype: Any):
        import transformers

        self.device, self.threshold, self.dtype = device, threshold, dtype
        lite = is_lite(weights)
        network = transformers.Sam3LiteTextModel if lite else transformers.Sam3Model
        self.processor = weights.load(transformers.Sam3Processor)
        self.model = weights.load(network).to(device).float().eval()
        self.batches = batches_for(device, self.processor.image_processor.size["height"])
        self.phrases: dict[str, Phrase] = {}

    def __call__(self, images: list[np.ndarray], prompts: list[Prompt]) -> list[Found]:
        """images: H×W×3 uint8 RGB, one TextPrompt each. Finds every object of the phrase, with mask and score."""
        found: list[Found] = [nothing(image) for image in images]
        rows = rows_of(images)
        asked = [(images[same[0]], [prompts[k] for k in same]) for same in rows]
        for same, answers in zip(rows, self.batches(self._look, asked), strict=True):
            for k, answer in zip(same, answers, strict=True):
                found[k] = answer
        return found

    def _look(self, asked: list[tuple[np.ndarray, list[Prompt]]]) -> list[list[Found]]:
        import torch

        row = [k for k, (_, prompts) in enumerate(asked) for _ in prompts]
        prompts = [prompt for _, some in asked for prompt in some]
        pixels = self.processor(images=[image for image, _ in asked], return_tensors="pt")["pixel_values"]
        kind = torch.device(self.device).type
        with torch.inference_mode(), torch.autocast(kind, self.dtype, enabled=self.dtype != torch.float32):
            phrases = [self._read(prompt) for prompt in prompts]
            seen = _repeated(self.model.get_vision_features(pixels.to(self.device)), row)
            words = _Words(torch.cat([phrase.embeddings for phrase in phrases]))
            counts = torch.cat([phrase.counts for phrase in phrases])
            answer = self.model(vision_embeds=seen, text_embeds=words, attention_mask=counts)
        found = iter([self._found(answer, k, prompt, asked[row[k]][0]) for k, prompt in enumerate(prompts)])
        return [[next(found) for _ in some] for _, some in asked]

    def _read(self, prompt: Prompt) -> Phrase:
        assert isinstance(prompt, TextPrompt)
        if prompt.text not in self.phrases:
            tokens = self.processor(text=[prompt.text], return_tensors="pt").to(self.device)
            ids, counts = tokens["input_ids"], tokens["attention_mask"]
            read = self.model.get_text_features(input_ids=ids, attention_mask=counts)
            self.phrases[prompt.text] = Phrase(read.pooler_output, counts)
        return self.phrases[prompt.text]

    def _found(self, answer: Any, k: int, prompt: Prompt, image: np.ndarray) -> Found:
        """The objects of one phrase in one picture, by the network's score of each, and of the phrase being there at
        all.
        """
        scores = (answer.pred_logits[k].float().sigmoid() * answer.presence_logits[k].float().sigmoid()).cpu()
        kept = (scores > threshold_of(prompt, self.threshold)).nonzero()[:, 0].tolist()
        objects = []
        for query in kept:
            # The library scales probabilities up, not logits: the edge is half-way between 0 and 1.
            mask = upscaled(answer.pred_masks[k, query].float().sigmoid() - 0.5, *image.shape[:2])
            if mask.any():
                objects.append((Instance.of(mask), float(scores[query])))
        return all_of(image, objects)


@dataclass(frozen=True)
class _Words:
    """The embeddings of phrases as the network takes them: rows×tokens×width."""

    pooler_output: Any


def _repeated(seen: Any, row: list[int]) -> Any:
    """The encoded pictures, repeated for each of their phrases: row k is picture `row[k]`."""
    from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput

    return Sam3VisionEncoderOutput(
        last_hidden_state=seen.last_hidden_state[row],
        fpn_hidden_states=tuple(level[row] for level in seen.fpn_hidden_states),
        fpn_position_encoding=tuple(level[row] if len(level) > 1 else level for level in seen.fpn_position_encoding),
    )


class Sam3Network(Sam2Network):
    """SAM 3's tracker, which answers points and boxes on single pictures as SAM 2.1 does."""

    def __init__(self, weights: Weights, device: str, dtype: Any):
        from transformers import Sam3TrackerModel, Sam3TrackerProcessor

        self.device, self.dtype = device, dtype
        self.processor = weights.load(Sam3TrackerProcessor)
        self.model = weights.load(Sam3TrackerModel, renamed=TRACKER).to(device).float().eval()
        self.side = self.processor.image_processor.size["height"]


def load(weights: Weights, device: str, threshold: float, dtype: Any) -> ByKind:
    """SAM 3 for text, points and boxes. The tracker is another network, loaded when the first point or box comes.

    SAM3-LiteText has none: it raises ValueError for points and boxes.
    """

    def tracker() -> ShapeSegmenter:
        if is_lite(weights):
            raise ValueError(f"{weights.repo} is SAM3-LiteText, which takes text alone; use sam2 for points and boxes")
        return ShapeSegmenter(Sam3Network(weights, device, dtype))

    return ByKind(Sam3TextSegmenter(weights, device, threshold, dtype), _WhenAsked(tracker))


def is_lite(weights: Weights) -> bool:
    """True if weights are SAM3-LiteText's, whose text encoder has an eighth of the size of SAM 3's."""
    try:
        weights.folder  # noqa: B018  fetched here, so that a refused access is told with what is open
    except Unavailable as error:
        raise Unavailable(f"{error}; where access is refused, {OPEN}") from error
    return read_config(weights.folder / "config.json").get("model_type") == "sam3_lite_text"


class _WhenAsked:
    """A segmenter that is loaded when the first prompt comes."""

    def __init__(self, make: Any):
        self.make = make
        self.made: Any = None

    def __call__(self, images: list[np.ndarray], prompts: list[Prompt]) -> list[Found]:
        if self.made is None:
            self.made = self.make()
        return self.made(images, prompts)
