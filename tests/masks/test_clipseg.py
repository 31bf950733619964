"""Text to masks by the bundled CLIPSeg."""

from __future__ import annotations

import numpy as np

from masks import TextPrompt, load_segmenter
from masks.segmenters import BUNDLED


def test_the_bundled_text_segmenter_finds_masks_of_the_pictures_size_with_boxes_around_them(scenes):
    segment = load_segmenter("bundled", threshold=0.3)
    found = segment([s.image for s in scenes], [TextPrompt(s.target.text) for s in scenes])
    hits = [f for f in found if f]
    assert len(hits) >= len(scenes) / 2
    for f in hits:
        assert (f.mask.shape, f.mask.dtype) == ((128, 128), bool)
        assert 0.3 < f.score <= 1
        covered = np.zeros_like(f.mask)
        for left, top, right, bottom in f.boxes:
            patch = f.mask[int(top) : int(bottom), int(left) : int(right)]
            assert all(side.any() for side in (patch[0], patch[-1], patch[:, 0], patch[:, -1]))
            covered[int(top) : int(bottom), int(left) : int(right)] = True
        assert covered[f.mask].all()


def test_what_the_bundled_text_segmenter_sees_depends_on_the_phrase(scenes):
    segment = load_segmenter("bundled", threshold=0.0)
    images = [s.image for s in scenes]
    first = segment(images, [TextPrompt("red ball")] * len(images))
    second = segment(images, [TextPrompt("blue star")] * len(images))
    assert all(a.score != b.score for a, b in zip(first, second, strict=True))  # the mean heat of the whole picture


def test_clipseg_above_its_surest_heat_finds_nothing_and_that_is_an_outcome(scenes):
    found = load_segmenter(f"clipseg:{BUNDLED / 'clipseg'}", threshold=1.0)(
        [scenes[0].image], [TextPrompt("red ball")]
    )[0]
    assert (bool(found), found.mask.shape, found.score, found.boxes) == (False, (128, 128), 0.0, ())


def test_clipseg_drops_crumbs_of_heat_and_keeps_objects(picture):
    segment = load_segmenter(f"clipseg:{BUNDLED / 'clipseg'}", threshold=0.5)
    heat = np.zeros((100, 100), np.float32)
    heat[10:30, 10:30] = 0.9
    heat[60:63, 60:63] = 0.9  # 9 of 10,000 pixels
    found = segment._find(picture(100, 100), heat, 0.5)
    assert found.boxes == ((10.0, 10.0, 30.0, 30.0),)
    assert (found.mask == (heat > 0.5) & (np.arange(100) < 40)).all()


def test_a_batch_finds_what_each_picture_finds_alone(scenes):
    segment = load_segmenter(f"clipseg:{BUNDLED / 'clipseg'}", threshold=0.5)
    images, prompts = [s.image for s in scenes[:3]], [TextPrompt(t) for t in ("red", "a blue star", "green ball")]
    together = segment(images, prompts)
    for image, prompt, found in zip(images, prompts, together, strict=True):
        assert (segment([image], [prompt])[0].mask != found.mask).mean() < 0.001


def test_several_phrases_about_several_pictures_find_what_the_models_own_forward_finds(scenes, picture):
    """The library encodes a picture again for every phrase; here it is encoded once, and nothing else changes."""
    import torch

    segment = load_segmenter(f"clipseg:{BUNDLED / 'clipseg'}", threshold=0.5)
    images = [scenes[0].image, picture(90, 140)]
    asked = [(image, text) for text in ("red ball", "blue", "star") for image in images]
    found = segment([image for image, _ in asked], [TextPrompt(text) for _, text in asked])
    for (image, text), mine in zip(asked, found, strict=True):
        inputs = segment.processor(text=[text], images=[image], padding=True, return_tensors="pt")
        with torch.inference_mode():
            heat = segment.model(**inputs).logits.reshape(128, 128).sigmoid().numpy()
        assert (segment._find(image, heat, 0.5).mask != mine.mask).mean() < 0.001


def test_a_phrase_with_a_threshold_of_its_own_is_held_to_that(scenes):
    segment = load_segmenter(f"clipseg:{BUNDLED / 'clipseg'}", threshold=0.5)
    image, text = scenes[0].image, scenes[0].target.text
    usual, strict, lax = segment([image] * 3, [TextPrompt(text, level) for level in (None, 0.9, 0.1)])
    assert strict.mask.sum() < usual.mask.sum() < lax.mask.sum()
    assert (usual.mask == load_segmenter("bundled", threshold=0.5)([image], [TextPrompt(text)])[0].mask).all()
