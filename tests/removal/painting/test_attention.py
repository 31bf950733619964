"""Inside a hole nothing is attended to but what surrounds it."""

import contextlib

import numpy as np
import pytest
import torch

from removal import load_remover
from removal.painting.attention import HoleAttention, hole_attention

SIDE, WIDTH = 4, 8  # a layer of 4×4 tokens
OFFLINE = {"offline": True, "device": "cpu"}


@pytest.fixture
def layer():
    from diffusers.models.attention_processor import Attention

    torch.manual_seed(0)
    return Attention(query_dim=WIDTH, heads=2, dim_head=4).eval()


@pytest.fixture
def holes() -> torch.Tensor:
    """Two pictures with different holes, at twice the layer's resolution."""
    holes = torch.zeros(2, 1, 2 * SIDE, 2 * SIDE)
    holes[0, 0, 2:6, 2:6] = 1
    holes[1, 0, 7, 0] = 1
    return holes


def dense(layer, tokens: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """The same attention written out with a whole matrix: no hole query sees a hole key."""
    query, key, value = (m(tokens).unflatten(-1, (2, 4)).transpose(1, 2) for m in (layer.to_q, layer.to_k, layer.to_v))
    scores = query @ key.transpose(-1, -2) / 2
    scores = scores.masked_fill((inside[:, :, None] & inside[:, None, :])[:, None], -torch.inf)
    return layer.to_out[0]((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))


def tokens_of(holes: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.max_pool2d(holes, 2).flatten(1) > 0


@torch.no_grad()
def test_it_is_attention_in_which_hole_queries_see_no_hole_keys_for_each_picture_of_a_batch(layer, holes):
    tokens = torch.randn(2, SIDE * SIDE, WIDTH)
    assert torch.allclose(HoleAttention(holes)(layer, tokens), dense(layer, tokens, tokens_of(holes)), atol=1e-6)


@torch.no_grad()
def test_with_guidance_both_halves_of_the_batch_have_the_same_holes(layer, holes):
    tokens = torch.randn(2, SIDE * SIDE, WIDTH)
    once, twice = HoleAttention(holes)(layer, tokens), HoleAttention(holes)(layer, tokens.repeat(2, 1, 1))
    assert torch.allclose(twice, once.repeat(2, 1, 1), atol=1e-6)


@torch.no_grad()
def test_a_token_of_the_hole_is_not_moved_by_another_one(layer, holes):
    tokens = torch.randn(2, SIDE * SIDE, WIDTH)
    inside = tokens_of(holes)[0].nonzero().flatten()
    moved = tokens.clone()
    moved[0, inside[0]] += 3
    before, after = HoleAttention(holes)(layer, tokens)[0], HoleAttention(holes)(layer, moved)[0]
    assert torch.allclose(before[inside[1:]], after[inside[1:]], atol=1e-6)
    assert not torch.allclose(before[0], after[0], atol=1e-3)  # outside it still matters


@torch.no_grad()
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_picture_without_a_hole_or_all_hole_is_attended_to_as_usual(layer, share):
    tokens = torch.randn(2, SIDE * SIDE, WIDTH)
    holes = torch.full((2, 1, SIDE, SIDE), share)
    assert torch.allclose(HoleAttention(holes)(layer, tokens), layer(tokens), atol=1e-6)


def test_the_layers_are_as_before_afterwards_even_after_a_fault(tiny, holes):
    unet = load_remover(str(tiny("plain")), steps=2, **OFFLINE).paint.pipeline.unet
    before = unet.attn_processors
    with contextlib.suppress(RuntimeError), hole_attention(unet, holes):
        ours = [name for name, one in unet.attn_processors.items() if isinstance(one, HoleAttention)]
        assert ours == [name for name in before if ".attn1." in name] != []
        raise RuntimeError
    assert unet.attn_processors == before


@pytest.mark.parametrize("kind", ["inpainting", "plain", "xl"])
def test_a_picture_is_the_same_alone_and_among_others_with_other_holes(tiny, picture, kind):
    remove = load_remover(str(tiny(kind)), steps=2, attention="hole", **OFFLINE)
    images = [picture(32, 32), picture(32, 40), picture(50, 32)]
    masks = [np.zeros(image.shape[:2], bool) for image in images]
    for k, mask in enumerate(masks):
        mask[4 + k : 20, 8 : 12 + 4 * k] = True
    together = remove(images, masks, [1, 2, 3])
    for image, mask, seed, result in zip(images, masks, [1, 2, 3], together, strict=True):
        (alone,) = remove([image], [mask], [seed])
        assert np.abs(alone.astype(int) - result.astype(int)).max() <= 1
