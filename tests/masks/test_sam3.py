"""SAM 3's own classes at a tiny size with random weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from masks import BoxPrompt, PointPrompt, TextPrompt, load_segmenter

PHRASES = ("red ball", "star", "a blue thing")
POINT, BOX = PointPrompt(((40, 50, 1),)), BoxPrompt((5, 6, 60, 50))


@pytest.fixture(scope="module", params=["sam3", "sam3_lite"])
def folder(request):
    return request.getfixturevalue(request.param)


def levels(folder, image, phrase) -> list[float]:
    """The scores of every query, by the library's own processor and forward pass."""
    inputs, model, processor = library(folder, image, phrase)
    with torch.inference_mode():
        answer = model(**inputs)
    every = processor.post_process_instance_segmentation(answer, threshold=0.0, target_sizes=[image.shape[:2]])
    return sorted(every[0]["scores"].tolist())


def library(folder, image, phrase):
    import transformers

    processor = transformers.Sam3Processor.from_pretrained(folder)
    kind = transformers.Sam3LiteTextModel if "lite" in str(folder) else transformers.Sam3Model
    inputs = processor(images=image, text=phrase, return_tensors="pt")
    wanted = ("pixel_values", "input_ids", "attention_mask")
    return {key: inputs[key] for key in wanted}, kind.from_pretrained(folder).eval(), processor


@pytest.mark.parametrize("size", [(112, 112), (90, 140)])
def test_a_phrase_finds_the_objects_that_the_librarys_own_forward_finds(folder, picture, size):
    image, phrase = picture(*size), PHRASES[0]
    scores = levels(folder, image, phrase)
    threshold = (scores[3] + scores[4]) / 2  # half of the eight queries
    found = load_segmenter(f"sam3:{folder}", threshold=threshold, offline=True)([image], [TextPrompt(phrase)])[0]
    inputs, model, processor = library(folder, image, phrase)
    with torch.inference_mode():
        answer = model(**inputs)
    (wanted,) = processor.post_process_instance_segmentation(answer, threshold=threshold, target_sizes=[size])
    masks = [mask.numpy() > 0 for mask in wanted["masks"] if mask.any()]
    assert len(found.instances) == len(masks) > 0
    assert (np.logical_or.reduce(masks) != found.mask).mean() < 0.001
    for one, mask in zip(found.instances, masks, strict=True):
        assert abs(one.area - mask.sum()) <= 0.01 * mask.sum() + 2
    kept = [score for score, mask in zip(wanted["scores"].tolist(), wanted["masks"], strict=True) if mask.any()]
    assert found.score == pytest.approx(min(kept), abs=1e-4)


def test_a_batch_of_pictures_and_phrases_finds_what_each_finds_alone(folder, picture):
    images = [picture(112, 112), picture(90, 140), picture(70, 66)]
    middle = float(np.median(levels(folder, images[0], PHRASES[0])))
    segment = load_segmenter(f"sam3:{folder}", threshold=middle, offline=True)
    asked = [(image, TextPrompt(phrase)) for phrase in PHRASES for image in images]
    together = segment([image for image, _ in asked], [prompt for _, prompt in asked])
    assert any(together)
    for (image, prompt), found in zip(asked, together, strict=True):
        alone = segment([image], [prompt])[0]
        assert (alone.mask != found.mask).mean() < 0.001
        assert alone.score == pytest.approx(found.score, abs=1e-4)


def test_a_picture_is_encoded_once_for_all_its_phrases_and_a_phrase_once_for_all_pictures(sam3, picture):
    segment = load_segmenter(f"sam3:{sam3}", threshold=0.011, offline=True)
    seen, read = [], []
    text = segment.text
    text.model.vision_encoder.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    text.model.text_encoder.register_forward_hook(lambda *_: read.append(1))
    images = [picture(112, 112), picture(90, 140)]
    asked = [(image, TextPrompt(phrase)) for image in images for phrase in PHRASES]
    for _ in range(2):
        segment([image for image, _ in asked], [prompt for _, prompt in asked])
    assert sum(seen) == 4
    assert len(read) <= len(PHRASES)


def test_a_phrase_may_have_a_threshold_of_its_own(sam3, picture):
    image = picture(112, 112)
    segment = load_segmenter(f"sam3:{sam3}", threshold=0.0, offline=True)
    every, none = segment([image] * 2, [TextPrompt("star"), TextPrompt("star", 1.0)])
    assert every.instances
    assert not none


@pytest.mark.parametrize("size", [(112, 112), (90, 140)])
def test_points_and_boxes_find_what_the_trackers_own_forward_finds(sam3, picture, size):
    """Its decoder too has the published weights: transformers alone leaves 147 of its tensors as they were drawn."""
    from transformers import Sam3TrackerModel, Sam3TrackerProcessor

    from masks.sam3 import TRACKER

    processor = Sam3TrackerProcessor.from_pretrained(sam3)
    model, report = Sam3TrackerModel.from_pretrained(sam3, key_mapping=TRACKER, output_loading_info=True)
    assert not report["missing_keys"]
    image = picture(*size)
    found = load_segmenter(f"sam3:{sam3}", offline=True)([image] * 2, [POINT, BOX])
    point = {"input_points": [[[[40.5, 50.5]]]], "input_labels": [[[1]]]}
    for mine, (several, asked) in zip(
        found, [(True, point), (False, {"input_boxes": [[[5.0, 6, 60, 50]]]})], strict=True
    ):
        inputs = processor(images=image, return_tensors="pt", **asked)
        with torch.inference_mode():
            answer = model.eval()(**inputs, multimask_output=several)
        best = int(answer.iou_scores[0, 0].argmax())
        (masks,) = processor.post_process_masks(answer.pred_masks, inputs["original_sizes"])
        assert (mine.mask != masks[0, best].numpy()).mean() < 0.001


def test_the_open_variant_takes_text_alone_and_says_what_takes_points(sam3_lite, picture):
    segment = load_segmenter(f"sam3:{sam3_lite}", offline=True)
    with pytest.raises(ValueError, match="takes text alone; use sam2 for points"):
        segment([picture(112, 112)], [POINT])
