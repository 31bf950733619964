"""Boxes for a text: Grounding DINO's and OWLv2's own classes at a tiny size with random weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from masks import TextPrompt
from masks.detectors import DUPLICATE, GroundingDino, Owlv2
from removal.weights.networks import Weights

PHRASES = ("red ball", "star", "blue ball star")


@pytest.fixture(scope="module", params=["dino", "mm_dino", "owlv2"])
def detect(request):
    folder = Weights(str(request.getfixturevalue(request.param)), offline=True)
    return {"dino": GroundingDino, "mm_dino": GroundingDino, "owlv2": Owlv2}[request.param](folder, "cpu", 0.0)


def agree(some: list, others: list) -> None:
    """Equal up to rounding, which batches of another size bring."""
    assert len(some) == len(others) > 0

    def whole_pixels(found):
        return [round(side) for side in found[0]]

    for (box, score), (other, also) in zip(
        sorted(some, key=whole_pixels), sorted(others, key=whole_pixels), strict=True
    ):
        assert box == pytest.approx(other, abs=0.02)
        assert score == pytest.approx(also, abs=1e-4)


def test_a_batch_of_pictures_and_phrases_finds_what_each_finds_alone(detect, picture):
    """Pictures of several sizes, and phrases of several lengths about one picture."""
    images = [picture(90, 140), picture(64, 64), picture(90, 140)[::-1].copy()]
    asked = [(image, TextPrompt(text)) for text in PHRASES for image in images]
    together = detect([image for image, _ in asked], [prompt for _, prompt in asked])
    for (image, prompt), found in zip(asked, together, strict=True):
        agree(found, detect([image], [prompt])[0])


def test_a_box_is_kept_above_its_phrases_own_threshold_and_else_above_the_usual_one(detect, picture):
    image = picture(90, 140)
    scores = sorted(score for _, score in detect([image], [TextPrompt("red ball")])[0])
    below = int(np.diff(scores).argmax()) + 1  # how many lie below the widest gap
    middle = (scores[below - 1] + scores[below]) / 2
    usual, own, none = detect([image] * 3, [TextPrompt("red ball", level) for level in (None, middle, 1.0)])
    assert [len(usual), len(own), len(none)] == [len(scores), len(scores) - below, 0]
    assert 0 < len(own) < len(usual)
    assert min(score for _, score in own) > middle


def test_what_is_found_depends_on_the_phrase(detect, picture):
    one, other = detect([picture(90, 140)] * 2, [TextPrompt("red ball"), TextPrompt("star")])
    assert [score for _, score in one] != [score for _, score in other]


@pytest.mark.parametrize(
    ("folder", "kind", "level"),
    [("dino", "GroundingDinoForObjectDetection", 0.2), ("mm_dino", "MMGroundingDinoForObjectDetection", 0.0)],
)
def test_a_grounding_dino_finds_what_its_own_processor_and_forward_find(request, folder, kind, level, picture):
    """LLMDet and MM-Grounding-DINO too: read as a plain Grounding DINO they lose tensors, and every score is off."""
    import transformers

    dino = request.getfixturevalue(folder)
    processor = transformers.AutoProcessor.from_pretrained(dino)
    model = getattr(transformers, kind).from_pretrained(dino).eval()
    image = picture(90, 140)
    inputs = processor(images=image, text="red ball.", return_tensors="pt")
    with torch.inference_mode():
        outputs = model(**inputs)
    (wanted,) = processor.post_process_grounded_object_detection(
        outputs, inputs["input_ids"], threshold=level, target_sizes=[(90, 140)]
    )
    (found, _) = GroundingDino(Weights(str(dino)), "cpu", level)([image, image], [TextPrompt(t) for t in PHRASES[:2]])
    agree(found, [*zip(map(tuple, wanted["boxes"].tolist()), wanted["scores"].tolist(), strict=True)])


def test_an_owlv2_finds_what_its_own_processor_and_forward_find_less_duplicates(owlv2, picture):
    from transformers import AutoProcessor, Owlv2ForObjectDetection

    processor, model = AutoProcessor.from_pretrained(owlv2), Owlv2ForObjectDetection.from_pretrained(owlv2).eval()
    image = picture(90, 140)
    inputs = processor(text=[["red ball"]], images=[image], return_tensors="pt")
    with torch.inference_mode():
        outputs = model(**inputs)
    (wanted,) = processor.post_process_grounded_object_detection(outputs, threshold=0.1, target_sizes=[(90, 140)])
    every = {tuple(np.round(box, 1)) for box in wanted["boxes"].tolist()}
    (found,) = Owlv2(Weights(str(owlv2)), "cpu", 0.1)([image], [TextPrompt("red ball")])
    assert {tuple(np.round(box, 1)) for box, _ in found} <= every
    boxes = torch.tensor([box for box, _ in found])
    from torchvision.ops import box_iou

    assert (box_iou(boxes, boxes) - torch.eye(len(boxes))).max() <= DUPLICATE
    assert max(score for _, score in found) == pytest.approx(float(wanted["scores"].max()), abs=1e-4)
