"""Attentive Eraser is the loop of its paper, though diffusers' own pipeline runs it."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from removal.checkpoints.known import look_up
from removal.choice import choose
from removal.crops.crop import cut
from removal.crops.remover import CropRemover
from removal.methods import attentive
from removal.methods.attentive import RedirectedAttention
from removal.options import Options

STEPS = 6  # of which ⌈6·9/50⌉ = 2 suppress
SIDE, WIDTH = 4, 8  # a layer of 4×4 tokens


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory):
    """As `tiny`, and `plain-xl`: SDXL with 4 channels."""

    def of(kind: str):
        if kind != "plain-xl":
            return tiny(kind)
        from diffusers import StableDiffusionXLInpaintPipeline, UNet2DConditionModel

        pipeline = StableDiffusionXLInpaintPipeline.from_pretrained(tiny("xl"))
        torch.manual_seed(0)
        pipeline.unet = UNet2DConditionModel.from_config({**pipeline.unet.config, "in_channels": 4})
        saved = tmp_path_factory.mktemp(kind)
        pipeline.save_pretrained(saved)
        return saved

    return of


@pytest.fixture
def paint(folder):
    """A function from a kind of checkpoint and options to a painter."""

    def load(kind: str, **options):
        settings = {"steps": STEPS, "offline": True, "device": "cpu", **options}
        return attentive.load(look_up(str(folder(kind))), Options(**settings))

    return load


@pytest.fixture
def crops(picture):
    """Two crops 32×32 with different holes."""
    masks = [np.zeros((32, 32), bool) for _ in range(2)]
    masks[0][6:18, 8:21] = True
    masks[1][20:29, 3:11] = True  # not at the edge, where OpenCV's fill takes a little from the hole
    images = [picture(32, 32), np.ascontiguousarray(picture(32, 32)[::-1])]
    return [cut(image, mask, 32) for image, mask in zip(images, masks, strict=True)]


@pytest.fixture
def holes() -> torch.Tensor:
    """Two pictures with different holes, at twice the layer's resolution."""
    holes = torch.zeros(2, 1, 2 * SIDE, 2 * SIDE)
    holes[0, 0, 2:6, 2:6] = 1
    holes[1, 0, 7, 0] = 1
    return holes


@pytest.fixture
def layer():
    from diffusers.models.attention_processor import Attention

    torch.manual_seed(0)
    return Attention(query_dim=WIDTH, heads=2, dim_head=4).eval()


def dense(layer, tokens: torch.Tensor, inside: torch.Tensor, suppressed: bool) -> torch.Tensor:
    """AAS written out with a whole matrix. `inside` is N×tokens bool."""
    query, key, value = (
        m(tokens).unflatten(-1, (layer.heads, -1)).transpose(1, 2) for m in (layer.to_q, layer.to_k, layer.to_v)
    )
    scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    if suppressed:
        scores = torch.where(inside[:, None, :, None], 0.3 * scores, scores)
    scores = scores.masked_fill(inside[:, None, None], -torch.inf)
    return layer.to_out[0]((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))


def tokens_of(holes: torch.Tensor) -> torch.Tensor:
    return F.max_pool2d(holes, holes.shape[-1] // SIDE).flatten(1) > 0


@torch.no_grad()
@pytest.mark.parametrize("branches", [2, 3])
def test_all_branches_but_the_last_are_a_dense_masked_softmax_and_the_last_is_plain(layer, holes, branches):
    tokens = torch.randn(2 * branches, SIDE * SIDE, WIDTH)
    inside = tokens_of(holes).repeat(branches - 1, 1)
    ours = RedirectedAttention(holes, suppressed_steps=1)
    for suppressed in (True, False):
        redirected = dense(layer, tokens[:-2], inside, suppressed)
        assert torch.allclose(ours(layer, tokens), torch.cat([redirected, layer(tokens[-2:])]), atol=1e-6)
        ours.after_step(None, 0, 0, {})


@torch.no_grad()
def test_a_picture_that_is_all_hole_in_a_layer_is_left_alone_there(layer, holes):
    tokens = torch.randn(4, SIDE * SIDE, WIDTH)
    holes[0] = 1
    result = RedirectedAttention(holes, suppressed_steps=1)(layer, tokens)
    assert torch.allclose(result[0], layer(tokens[:1])[0], atol=1e-6)
    assert not torch.allclose(result[1], layer(tokens[1:2])[0], atol=1e-3)


class Loop:
    """The paper's loop written out from what the UNet was first given and what the image was encoded to."""

    def __init__(self, painter, monkeypatch):
        from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

        self.painter, self.pipeline = painter, painter.pipeline.pipeline
        self.given, self.encoded, self.decoded = [], [], []
        sample, decode = DiagonalGaussianDistribution.sample, self.pipeline.vae.decode
        monkeypatch.setattr(
            DiagonalGaussianDistribution,
            "sample",
            lambda values, generator=None: self.encoded.append(sample(values, generator)) or self.encoded[-1],
        )
        monkeypatch.setattr(
            self.pipeline.vae, "decode", lambda values, *a, **k: self.decoded.append(values) or decode(values, *a, **k)
        )

    def pipelines_latents(self, crops) -> torch.Tensor:
        """What the pipeline itself ends with: N×4×h×w, as the UNet sees them."""
        unet = self.pipeline.unet
        hook = unet.register_forward_pre_hook(
            lambda _, given, named: self.given.append((given, named)), with_kwargs=True
        )
        self.painter(crops, [1, 2])
        hook.remove()
        return self.decoded[-1] * self.pipeline.vae.config.scaling_factor

    @torch.no_grad()
    def latents(self, crops, guidance: float = 1.0, scale: float = 9.0) -> torch.Tensor:
        """What the loop written out ends with, from the same noise."""
        count, factor = len(crops), self.pipeline.vae.config.scaling_factor
        (batch, _), named = self.given[0]
        sees = batch[:count, 4:]  # the mask and the masked image, of 9 channels
        masks = torch.from_numpy(np.stack([crop.mask for crop in crops])).float()[:, None]
        holes = F.max_pool2d(masks, self.pipeline.vae_scale_factor)
        scheduler = self.pipeline.scheduler
        scheduler.set_timesteps(STEPS)
        x = noise = batch[:count, :4]  # strength 1
        for k, t in enumerate(scheduler.timesteps):
            inputs = torch.cat([x, sees], dim=1)
            branches = [self._conditions(named, one, count) for one in range(len(batch) // count)]
            plain = self._eps(inputs, t, branches[-1])
            redirected = [self._eps(inputs, t, branch, holes, k < 2) for branch in branches[:-1]]
            eps = plain + scale * (redirected[-1] - plain) + (guidance - 1) * (redirected[-1] - redirected[0])
            x = scheduler.step(eps, t, x, return_dict=False)[0]
            if sees.shape[1] == 0:
                known = torch.cat(self.encoded[:count]) * factor
                if k + 1 < STEPS:
                    known = scheduler.add_noise(known, noise, scheduler.timesteps[k + 1 : k + 2])
                x = holes * x + (1 - holes) * known
        return x

    def _conditions(self, named: dict, branch: int, count: int) -> dict:
        rows = slice(branch * count, (branch + 1) * count)
        added = {name: values[rows] for name, values in (named["added_cond_kwargs"] or {}).items()}
        return {"encoder_hidden_states": named["encoder_hidden_states"][rows], "added_cond_kwargs": added or None}

    def _eps(self, inputs, t, conditions, holes=None, suppressed=False) -> torch.Tensor:
        unet = self.pipeline.unet
        before = unet.attn_processors
        if holes is not None:

            def erase(attn, hidden_states, **_):
                return dense(attn, hidden_states, tokens_of(holes), suppressed)

            ours = {n: erase if n.startswith("up_blocks") and "attn1" in n else old for n, old in before.items()}
            assert erase in ours.values()
            unet.set_attn_processor(ours)
        eps = unet(inputs, t, return_dict=False, **conditions)[0]
        unet.set_attn_processor(before)
        return eps


@pytest.mark.parametrize("kind", ["plain", "inpainting", "plain-xl", "xl"])
@pytest.mark.parametrize(("prompt", "guidance"), [("", 1.0), ("a meadow", 3.0)])
def test_it_equals_two_branches_written_out(paint, crops, monkeypatch, kind, prompt, guidance):
    """ε = ε_plain + s·(ε_AAS − ε_plain), and with a prompt guidance within AAS, for different holes in one batch."""
    loop = Loop(paint(kind, prompt=prompt, guidance=guidance, strength=1.0), monkeypatch)
    pipelines_own = loop.pipelines_latents(crops)
    assert len(loop.given[0][0][0]) == 2 * (2 if guidance == 1 else 3)
    assert (pipelines_own - loop.latents(crops, guidance)).abs().max() < 1e-4
    assert (pipelines_own - loop.latents(crops, guidance, scale=1.0)).abs().max() > 1e-2  # and s matters here


@pytest.mark.parametrize("kind", ["plain", "inpainting", "plain-xl", "xl"])
def test_a_picture_is_the_same_alone_and_in_a_batch_and_only_its_hole_changes(paint, folder, picture, kind):
    remove = CropRemover(choose(str(folder(kind))), paint(kind, steps=3), 2.0, 3)
    images = [picture(32, 32), picture(32, 40), picture(50, 32)]
    masks = [np.zeros(image.shape[:2], bool) for image in images]
    for k, mask in enumerate(masks):
        mask[4 + k : 20, 8 : 12 + 4 * k] = True
    together = remove(images, masks, [1, 2, 3])
    for image, mask, seed, result in zip(images, masks, [1, 2, 3], together, strict=True):
        (alone,) = remove([image], [mask], [seed])
        assert np.abs(alone.astype(int) - result.astype(int)).max() <= 1
        assert (result[~mask] == image[~mask]).all()
        assert (result[mask] != image[mask]).any()


def test_the_layers_are_as_before_afterwards_even_after_a_fault(paint, crops, monkeypatch):
    painter = paint("plain", steps=2)
    unet, seen = painter.pipeline.unet, []
    before = unet.attn_processors
    painter(crops, [1, 2])
    assert unet.attn_processors == before

    def fail(*_, **__):
        seen.extend(name for name, one in unet.attn_processors.items() if isinstance(one, RedirectedAttention))
        raise RuntimeError

    monkeypatch.setattr(painter.pipeline.pipeline.scheduler, "step", fail)
    with contextlib.suppress(RuntimeError):
        painter(crops, [1, 2])
    assert seen == [name for name in before if name.startswith("up_blocks") and ".attn1." in name] != []
    assert unet.attn_processors == before


def test_hole_attention_can_be_asked_for_in_the_layers_before_the_decoder(paint, crops):
    plain, asked = paint("plain", steps=2), paint("plain", steps=2, attention="hole")
    before = asked.pipeline.unet.attn_processors
    assert (plain(crops, [1, 2])[0] != asked(crops, [1, 2])[0]).any()
    assert asked.pipeline.unet.attn_processors == before


def test_an_object_in_a_filled_hole_leaves_no_trace(paint, crops):
    painter = paint("plain", steps=3)
    others = [replace(crop, image=np.where(crop.mask[..., None], 255, crop.image).astype(np.uint8)) for crop in crops]
    assert (np.stack(painter(crops, [1, 2])) == np.stack(painter(others, [1, 2]))).all()


def test_the_painter_says_its_resolution_steps_and_strength(paint):
    for kind, strength in {"plain": 0.8, "inpainting": 1.0, "plain-xl": 0.8, "xl": 0.99}.items():
        painter = paint(kind, steps=10)
        assert (painter.resolution, painter.steps, painter.strength) == (32, 10, strength)


def test_weights_of_other_channels_than_said_are_refused(tiny):
    with pytest.raises(ValueError, match="9 input channels where 4 were expected"):
        attentive.load(replace(look_up(str(tiny("inpainting"))), in_channels=4), Options(offline=True, device="cpu"))
