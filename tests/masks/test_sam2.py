"""SAM 2.1's own classes at a tiny size with random weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from masks import BoxPrompt, PointPrompt, load_segmenter

POINT = PointPrompt(((40, 50, 1),))
POINTS = PointPrompt(((40, 50, 1), (20, 30, 0), (22, 31, 1)))
BOX, OTHER = BoxPrompt((5, 6, 60, 50)), BoxPrompt((30, 10, 62, 60))


@pytest.fixture(scope="module")
def segment(sam2):
    return load_segmenter(f"sam2:{sam2}", offline=True)


@pytest.fixture(scope="module")
def library(sam2):
    """What the library's own processor and forward find of a picture for one question."""
    from transformers import Sam2Model, Sam2Processor

    processor, model = Sam2Processor.from_pretrained(sam2), Sam2Model.from_pretrained(sam2).eval()

    def ask(image: np.ndarray, several: bool, **question) -> tuple[np.ndarray, float]:
        inputs = processor(images=image, return_tensors="pt", **question)
        with torch.inference_mode():
            answer = model(**inputs, multimask_output=several)
        (masks,) = processor.post_process_masks(answer.pred_masks, inputs["original_sizes"])
        best = int(answer.iou_scores[0, 0].argmax())
        return masks[0, best].numpy(), float(answer.iou_scores[0, 0, best])

    return ask


@pytest.mark.parametrize("size", [(64, 64), (90, 140), (301, 77)])
def test_points_and_boxes_find_what_the_librarys_own_forward_finds(segment, library, picture, size):
    image = picture(*size)
    found = segment([image] * 4, [POINT, POINTS, BOX, OTHER])
    wanted = [
        library(image, True, input_points=[[[[40.5, 50.5]]]], input_labels=[[[1]]]),
        library(image, False, input_points=[[[[40.5, 50.5], [20.5, 30.5], [22.5, 31.5]]]], input_labels=[[[1, 0, 1]]]),
        library(image, False, input_boxes=[[list(map(float, BOX.box))]]),
        library(image, False, input_boxes=[[list(map(float, OTHER.box))]]),
    ]
    for mine, (mask, score) in zip(found, wanted, strict=True):
        assert (mine.mask != mask).mean() < 0.001
        assert mine.score == pytest.approx(score if mine else 0, abs=1e-4)


def test_a_batch_of_pictures_finds_what_each_finds_alone(segment, picture):
    images = [picture(64, 64), picture(90, 140), picture(70, 66)]
    asked = [(image, prompt) for prompt in (BOX, POINT, OTHER) for image in images]
    together = segment([image for image, _ in asked], [prompt for _, prompt in asked])
    for (image, prompt), found in zip(asked, together, strict=True):
        assert (segment([image], [prompt])[0].mask != found.mask).mean() < 0.001


def test_in_half_precision_the_encoder_finds_nearly_the_same_and_the_decoder_stays_exact(segment, sam2, picture):
    half = load_segmenter(f"sam2:{sam2}", offline=True, dtype="bfloat16")
    image = picture(90, 140)
    exact, rough = segment.network.encode([image])[0], half.network.encode([image])[0]
    for one, other in zip(exact, rough, strict=True):
        assert other.dtype == torch.float32
        assert 0 < (one - other).abs().mean() < 0.02 * one.abs().mean()
    assert (segment([image], [BOX])[0].mask != half([image], [BOX])[0].mask).mean() < 0.05


def test_a_point_outside_the_picture_is_refused(segment, picture):
    with pytest.raises(ValueError, match="point 64,5 lies outside the picture of 64×64 pixels"):
        segment([picture(64, 64)], [PointPrompt(((64, 5, 1),))])


def test_text_goes_to_a_detector_whose_boxes_it_turns_into_masks(sam2, dino, picture):
    from masks import TextPrompt

    segment = load_segmenter(f"grounded-sam2:{sam2}+{dino}", threshold=0.0, offline=True)
    image = picture(90, 140)
    found, shape = segment([image] * 2, [TextPrompt("red ball"), BOX])
    assert len(found.boxes) == 12
    assert found.mask.shape == (90, 140)
    assert (shape.mask == load_segmenter(f"sam2:{sam2}", offline=True)([image], [BOX])[0].mask).all()
