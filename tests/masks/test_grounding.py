"""Text to masks: the bundled CLIPSeg, and Grounding DINO's own classes at a tiny size with random weights."""

from __future__ import annotations

import numpy as np
import pytest

from masks import BoxPrompt, PointPrompt, TextPrompt, load_segmenter, sam
from masks.grounding import ByKind
from masks.prompts import Found
from masks.segmenters import BUNDLED


@pytest.fixture(scope="module")
def dino(tmp_path_factory):
    """A folder in the layout of IDEA-Research/grounding-dino-tiny; 0.3 M random parameters, 12 queries."""
    import torch
    from transformers import (
        BertConfig,
        BertTokenizerFast,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
        SwinConfig,
    )

    folder = tmp_path_factory.mktemp("dino")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", "red", "blue", "ball", "star"]
    (folder / "vocab.txt").write_text("\n".join(words))
    swin = SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1, 1, 1],
        num_heads=[1, 2, 2],
        window_size=4,
        out_features=["stage2", "stage3"],
    )
    bert = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
    )
    config = GroundingDinoConfig(
        backbone_config=swin,
        text_config=bert,
        d_model=32,
        encoder_layers=1,
        encoder_ffn_dim=32,
        encoder_attention_heads=2,
        decoder_layers=2,
        decoder_ffn_dim=32,
        decoder_attention_heads=2,
        num_queries=12,
        num_feature_levels=3,
        max_text_len=32,
    )
    torch.manual_seed(0)
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=32, do_lower_case=False)
    images = GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    GroundingDinoProcessor(images, tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture
def ground(dino):
    """A function that loads grounded-sam with the tiny Grounding DINO and the bundled SAM at a threshold."""
    return lambda threshold: load_segmenter(
        f"grounded-sam:{BUNDLED / 'sam'}", threshold=threshold, offline=True, dino=str(dino)
    )


def test_grounded_sam_at_threshold_1_finds_nothing_and_that_is_an_outcome(ground, scenes):
    for found in ground(1.0)([s.image for s in scenes[:2]], [TextPrompt("red ball"), TextPrompt("blue star")]):
        assert not found
        assert (found.mask.shape, found.mask.dtype, found.score, found.boxes) == ((128, 128), bool, 0.0, ())


def test_grounded_sams_mask_is_the_union_of_what_sam_finds_in_every_box(ground, picture):
    image = picture(90, 140)
    segment = ground(0.0)
    found = segment([image], [TextPrompt("red ball")])[0]
    assert len(found.boxes) == 12  # at threshold 0, one for every query
    inside = [(max(0, x0), max(0, y0), min(140, x1), min(90, y1)) for x0, y0, x1, y1 in found.boxes]
    parts = segment.sam([image] * 12, [BoxPrompt(box) for box in inside])
    assert (found.mask == np.logical_or.reduce([part.mask for part in parts])).all()
    assert found.mask.shape == (90, 140)
    assert 0 < found.score < 1


def test_grounded_sam_finds_less_at_a_higher_threshold(ground, scenes):
    image, prompt = scenes[0].image, TextPrompt("red ball")
    everything = ground(0.0)([image], [prompt])[0]
    scores = sorted(ground(0.0)._boxes(image, prompt.text)[1])
    middle = (scores[5] + scores[6]) / 2
    some = ground(middle)([image], [prompt])[0]
    assert len(some.boxes) == 6
    assert set(some.boxes) < set(everything.boxes)
    assert some.score >= middle > everything.score


def test_grounded_sam_hears_a_phrase_in_any_case_and_with_or_without_a_full_stop(ground, scenes):
    segment, image = ground(0.0), scenes[0].image
    plain, *others = (segment([image], [TextPrompt(text)])[0] for text in ("red ball", "Red Ball", " red ball. "))
    assert all(other.boxes == plain.boxes for other in others)
    assert segment([image], [TextPrompt("blue star")])[0].boxes != plain.boxes


def test_grounded_sam_hands_points_and_boxes_to_sam(ground, scenes):
    scene = scenes[0]
    for prompt in (PointPrompt((scene.point,)), BoxPrompt(sam.outline(scene.object))):
        found = ground(0.0)([scene.image], [prompt])[0]
        assert (found.mask == load_segmenter(f"sam:{BUNDLED / 'sam'}")([scene.image], [prompt])[0].mask).all()


def test_offline_a_grounding_dino_that_is_not_there_is_named(tmp_path):
    with pytest.raises(OSError, match="no-one/dino"):
        load_segmenter(f"grounded-sam:{BUNDLED / 'sam'}", offline=True, dino="no-one/dino")


# CLIPSeg -------------------------------------------------------------------------------------------------------------


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
    found = segment._find(picture(100, 100), heat)
    assert found.boxes == ((10.0, 10.0, 30.0, 30.0),)
    assert (found.mask == (heat > 0.5) & (np.arange(100) < 40)).all()


def test_a_batch_finds_what_each_picture_finds_alone(scenes):
    segment = load_segmenter(f"clipseg:{BUNDLED / 'clipseg'}", threshold=0.5)
    images, prompts = [s.image for s in scenes[:3]], [TextPrompt(t) for t in ("red", "a blue star", "green ball")]
    together = segment(images, prompts)
    for image, prompt, found in zip(images, prompts, together, strict=True):
        assert (segment([image], [prompt])[0].mask != found.mask).mean() < 0.001


def test_every_prompt_goes_to_the_segmenter_of_its_kind():
    def answer(score):
        return lambda images, prompts: [Found(np.ones((2, 2), bool), score)] * len(images)

    segment = ByKind(text=answer(0.1), shape=answer(0.9))
    prompts = [TextPrompt("a"), PointPrompt(((0, 0, 1),)), TextPrompt("b"), BoxPrompt((0, 0, 1, 1))]
    assert [f.score for f in segment([np.zeros((2, 2, 3), np.uint8)] * 4, prompts)] == [0.1, 0.9, 0.1, 0.9]
