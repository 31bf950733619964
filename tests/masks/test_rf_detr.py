"""RF-DETR's own class at a tiny size with random weights, and the phrases that name its classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from masks import PointPrompt, TextPrompt, load_segmenter
from masks.rf_detr import COCO, class_of
from masks.segmenters import objection


@pytest.mark.parametrize(
    ("phrase", "name"),
    [
        ("person", "person"),
        ("People", "person"),
        ("traffic_lights", "traffic light"),
        ("wine glasses", "wine glass"),
        ("buses", "bus"),
        ("knives", "knife"),
        ("mice", "mouse"),
        ("skis", "skis"),
        (" Scissors ", "scissors"),
    ],
)
def test_a_class_is_known_in_the_singular_and_the_plural(phrase, name):
    assert class_of(phrase) == name


def test_coco_has_80_classes_and_each_is_its_own():
    assert len(COCO) == len(set(COCO)) == 80
    assert [class_of(name) for name in COCO] == list(COCO)


def test_any_other_phrase_is_refused_with_the_nearest_before_weights_are_loaded():
    reason = objection("rf-detr", TextPrompt("motorbike"))
    assert reason is not None
    assert "'motorbike' is none of the 80 classes" in reason
    assert "motorcycle" in reason
    assert "--segmenter grounded-sam" in reason
    assert objection("rf-detr", TextPrompt("dogs")) is None
    assert objection("rf-detr", PointPrompt(((1, 1, 1),))) is not None


def test_weights_of_ones_own_know_their_own_classes(rf_detr, picture):
    name = f"rf-detr:{rf_detr}"
    assert objection(name, TextPrompt("forklift")) is None  # who knows, before they are loaded
    with pytest.raises(ValueError, match="'forklift' is none of the 3 classes"):
        load_segmenter(name, offline=True)([picture(64, 64)], [TextPrompt("forklift")])


def library(folder, image, threshold):
    """Masks and scores by class, by the library's own processor, forward pass and reading of it."""
    from transformers import RfDetrForInstanceSegmentation, RfDetrImageProcessor

    processor = RfDetrImageProcessor.from_pretrained(folder)
    with torch.inference_mode():
        answer = RfDetrForInstanceSegmentation.from_pretrained(folder).eval()(**processor(image, return_tensors="pt"))
    sizes = {"target_sizes": [image.shape[:2]], "top_k": answer.logits[0].numel(), "return_binary_maps": True}
    (found,) = processor.post_process_instance_segmentation(answer, threshold=threshold, **sizes)
    return found, float(answer.logits.sigmoid().median())


@pytest.mark.parametrize("size", [(64, 64), (50, 90)])
def test_a_class_finds_the_objects_that_the_librarys_own_forward_finds(rf_detr, picture, size):
    image = picture(*size)
    threshold = library(rf_detr, image, 0.5)[1]
    wanted, _ = library(rf_detr, image, threshold)
    segment = load_segmenter(f"rf-detr:{rf_detr}", threshold=threshold, offline=True)
    hits = 0
    for label, phrase in enumerate(("person", "traffic lights", "dogs")):
        told = zip(wanted["segments_info"], wanted["segmentation"], strict=True)
        mine = [(info["score"], mask.numpy()) for info, mask in told if info["label_id"] == label]
        (found,) = segment([image], [TextPrompt(phrase)])
        hits += len(mine)
        assert len(found.instances) == len(mine)
        if mine:
            assert found.score == pytest.approx(min(score for score, _ in mine), abs=1e-4)
            assert (found.mask != np.logical_or.reduce([mask for _, mask in mine])).mean() < 0.002
            assert sorted(one.area for one in found.instances) == pytest.approx(
                sorted(int(mask.sum()) for _, mask in mine), rel=0.01, abs=3
            )
    assert hits > 2


def test_a_batch_of_pictures_and_classes_finds_what_each_finds_alone_and_sees_a_picture_once(rf_detr, picture):
    images = [picture(64, 64), picture(50, 90), picture(70, 66)]
    threshold = library(rf_detr, images[0], 0.5)[1]
    segment = load_segmenter(f"rf-detr:{rf_detr}", threshold=threshold, offline=True)
    seen = []
    hook = segment.model.register_forward_hook(lambda *given: seen.append(len(given[2].logits)))
    asked = [(image, TextPrompt(phrase)) for phrase in ("person", "dog") for image in images]
    together = segment([image for image, _ in asked], [prompt for _, prompt in asked])
    hook.remove()
    assert sum(seen) == len(images)
    assert any(together)
    for (image, prompt), found in zip(asked, together, strict=True):
        (alone,) = segment([image], [prompt])
        assert (alone.mask != found.mask).mean() < 0.001
        assert alone.score == pytest.approx(found.score, abs=1e-4)


def test_a_phrases_own_threshold_counts(rf_detr, picture):
    segment = load_segmenter(f"rf-detr:{rf_detr}", threshold=0.0, offline=True)
    every, none = segment([picture(64, 64)] * 2, [TextPrompt("person"), TextPrompt("person", 1.0)])
    assert every
    assert not none
