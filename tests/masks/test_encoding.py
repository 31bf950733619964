"""What finding costs: every picture goes through an encoder once, many at a time, and without a gradient."""

from __future__ import annotations

import pytest
import torch

from masks import BoxPrompt, PointPrompt, TextPrompt, load_segmenter, shapes
from masks.encoding import PIXELS, batches_for
from masks.segmenters import BUNDLED

ENCODERS = {
    "sam": lambda segment: segment.network.sam.image_encoder,
    "sam2": lambda segment: segment.network.model.vision_encoder,
    "clipseg": lambda segment: segment.model.clip.vision_model,
    "grounded-sam": lambda segment: segment.detect.model.model.backbone.conv_encoder,
    "owlv2-sam": lambda segment: segment.detect.model.owlv2.vision_model,
}
SHAPES = [PointPrompt(((9, 8, 1),)), BoxPrompt((2, 3, 50, 60)), BoxPrompt((5, 5, 20, 30))]
PHRASES = [TextPrompt("red ball"), TextPrompt("star"), TextPrompt("blue")]


@pytest.fixture
def load(dino, owlv2, sam2):
    """A function that loads a segmenter of the table with tiny weights."""
    mine = {
        "sam": f"sam:{BUNDLED / 'sam'}",
        "sam2": f"sam2:{sam2}",
        "clipseg": f"clipseg:{BUNDLED / 'clipseg'}",
        "grounded-sam": f"grounded-sam:{BUNDLED / 'sam'}+{dino}",
        "owlv2-sam": f"owlv2-sam:{BUNDLED / 'sam'}+{owlv2}",
    }
    return lambda name: load_segmenter(mine[name], threshold=0.0, offline=True)


@pytest.fixture
def counted():
    """A function that counts the rows of every call of a network from then on, and whether a gradient is kept."""
    hooks = []

    def count(network):
        calls: list[int] = []

        def note(_, given, named, made):
            pixels = [*given, *named.values()][0]
            assert not torch.is_grad_enabled()
            calls.append(len(pixels))

        hooks.append(network.register_forward_hook(note, with_kwargs=True))
        return calls

    yield count
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("name", ENCODERS)
def test_several_prompts_about_several_pictures_encode_each_picture_once_and_all_in_one_batch(
    load, counted, scenes, name
):
    segment = load(name)
    calls = counted(ENCODERS[name](segment))
    asked = [(s.image, prompt) for prompt in (SHAPES if name.startswith("sam") else PHRASES) for s in scenes[:4]]
    segment([image for image, _ in asked], [prompt for _, prompt in asked])
    assert calls == [4]


def test_phrases_points_and_boxes_about_one_picture_encode_it_once_for_all_their_masks(load, counted, scenes):
    segment = load("grounded-sam")
    calls = counted(segment.shapes.network.sam.image_encoder)
    prompts = [*PHRASES, *SHAPES]
    segment([scenes[0].image] * len(prompts), prompts)
    assert calls == [1]


def test_of_three_proposed_masks_only_the_chosen_one_is_scaled_up(load, scenes, monkeypatch):
    scaled, upscaled = [], shapes.upscaled
    monkeypatch.setattr(
        shapes, "upscaled", lambda logits, *size: scaled.append(logits.shape) or upscaled(logits, *size)
    )
    load("sam")([s.image for s in scenes[:3]], [PointPrompt((s.point,)) for s in scenes[:3]])
    assert scaled == [(128, 128)] * 3


def test_a_batch_that_does_not_fit_is_halved_for_good_and_finds_the_same(load, counted, scenes):
    segment = load("sam")
    encoder = segment.network.sam.image_encoder
    images, prompts = [s.image for s in scenes[:8]], [PointPrompt((s.point,)) for s in scenes[:8]]
    whole = segment(images, prompts)
    small = encoder.register_forward_pre_hook(refuse_above(3))
    calls, size = counted(encoder), segment.batches.size
    try:
        again = segment(images, prompts)
        assert calls == [2, 2, 2, 2]
        segment(images, prompts)
        assert calls == [2, 2, 2, 2] * 2
    finally:
        small.remove()
        segment.batches.size = size
    assert all((a.mask == b.mask).all() for a, b in zip(whole, again, strict=True))


def refuse_above(most: int):
    def refuse(_, given):
        if len(given[0]) > most:
            raise torch.OutOfMemoryError("out of memory")

    return refuse


def test_a_single_picture_that_does_not_fit_is_said_so_with_what_would_help():
    with pytest.raises(MemoryError, match="sam:vit_b"):
        list(batches_for("cpu", 4096)(lambda rows: refuse_above(0)(None, [rows]), ["a"]))


def test_another_error_than_too_little_memory_is_passed_on():
    def broken(rows):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        list(batches_for("cpu", 512)(broken, ["a", "b"]))


def test_large_pictures_go_to_a_cpu_one_by_one_and_to_a_gpu_eight_at_once():
    assert [batches_for(device, 1024).size for device in ("cpu", "cuda", "cuda:1")] == [1, 8, 8]
    assert batches_for("cpu", 352).size == PIXELS["cpu"] // 352**2 == 8
    assert batches_for("cpu", 4096).size == 1
