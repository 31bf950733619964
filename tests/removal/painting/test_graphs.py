"""A step that is recorded once and replayed is the same picture. What CUDA records, a trace of torch stands for here:
the operations of one call on tensors of fixed shapes, run again without a line of the network's Python."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from removal import removers
from removal.checkpoints.known import look_up
from removal.crops.crop import cut
from removal.options import Options
from removal.painting import pipelines
from removal.painting.graphs import with_graph
from removal.painting.painter import Painter
from removal.weights.batches import Batches


class Traces:
    """Records by tracing. Keeps its own tensors, as a graph on a device does, and counts."""

    def __init__(self):
        self.recorded, self.replayed = [], 0

    def __call__(self, work, tensors):
        own = [one.clone() for one in tensors]
        traced = make_fx(work)(own)
        self.recorded.append(tuple(tensors[0].shape))

        def replay(given):
            for mine, one in zip(own, given, strict=True):
                mine.copy_(one)
            self.replayed += 1
            return traced(own)

        return replay


def painter(folder, channels, **more):
    options = Options(device="cpu", offline=True, steps=3, **more)
    return pipelines.load(look_up(str(folder)), options, channels)


@pytest.fixture
def crops(picture):
    def some(count):
        masks = [np.zeros((32, 32), bool) for _ in range(count)]
        for k, mask in enumerate(masks):
            mask[4 + k : 16, 8 : 20 + k] = True
        return [cut(np.roll(picture(32, 32), 4 * k, axis=0), mask, 32) for k, mask in enumerate(masks)]

    return some


CASES = [
    ("inpainting", 9, {}, 1),
    ("plain", 4, {}, 1),
    ("plain", 4, {"prompt": "wood"}, 2),
    ("sd2", 9, {}, 1),
    ("xl", 9, {"prompt": "wood"}, 2),
]


@pytest.mark.parametrize(("kind", "channels", "more", "times"), CASES)
def test_whole_batches_are_recorded_once_and_the_picture_is_the_same(tiny, crops, kind, channels, more, times):
    five, seeds = crops(5), [1, 2, 3, 4, 5]
    plain = painter(tiny(kind), channels, **more)
    expected = [*plain(five[:2], seeds[:2]), *plain(five[2:4], seeds[2:4]), *plain(five[4:], seeds[4:])]
    traces = Traces()
    paint = with_graph(painter(tiny(kind), channels, **more), 2, traces)
    rows = list(zip(five, seeds, strict=True))
    found = list(Batches(2)(lambda some: paint([one for one, _ in some], [seed for _, seed in some]), rows))
    assert all((one == other).all() for one, other in zip(expected, found, strict=True))
    assert [rows for rows, *_ in traces.recorded] == [2 * times]
    steps = int(3 * paint.strength) or 1
    assert traces.replayed == 2 * steps  # every step of both whole batches, and none of the short one


def test_a_replay_does_not_overwrite_what_an_earlier_step_gave(tiny, crops):
    """The solver keeps what the UNet said a step before."""
    kept = []
    paint = with_graph(painter(tiny("plain"), 4), 2, Traces())
    unet = paint.pipeline.unet
    sample, words = torch.randn(2, 4, 8, 8), paint.prompt_embeddings["prompt_embeds"].repeat(2, 1, 1)
    with torch.no_grad():
        for time in (900, 500, 100):
            kept.append(unet(sample, torch.tensor(time), encoder_hidden_states=words, return_dict=False)[0])
        unet._compiled_call_impl = None
        again = [
            unet(sample, torch.tensor(time), encoder_hidden_states=words, return_dict=False)[0]
            for time in (900, 500, 100)
        ]
    assert all(one.equal(other) for one, other in zip(kept, again, strict=True))


@pytest.mark.parametrize("trouble", [RuntimeError("operation not permitted when stream is capturing"), "memory"])
def test_where_recording_fails_it_goes_on_without_says_so_once_and_the_picture_is_the_same(tiny, crops, trouble):
    error = torch.OutOfMemoryError("CUDA out of memory") if trouble == "memory" else trouble

    def fails(work, tensors):
        raise error

    four, seeds = crops(4), [1, 2, 3, 4]
    expected = painter(tiny("plain"), 4)(four, seeds)
    paint = with_graph(painter(tiny("plain"), 4), 4, fails)
    with pytest.warns(UserWarning, match=f"without a CUDA graph, which is slower: {error}") as said:
        first = paint(four, seeds)
    assert sum("CUDA graph" in str(one.message) for one in said) == 1
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*CUDA graph")
        second = paint(four, seeds)
    for patches in (first, second):
        assert all((one == other).all() for one, other in zip(expected, patches, strict=True))


def test_a_batch_that_finds_no_memory_gives_that_of_the_recording_back(tiny, crops, monkeypatch):
    traces = Traces()
    paint = with_graph(painter(tiny("plain"), 4), 2, traces)
    four, seeds = crops(4), [1, 2, 3, 4]
    expected = painter(tiny("plain"), 4)(four, seeds)
    rows = list(zip(four, seeds, strict=True))
    first = paint(four[:2], seeds[:2])
    full = iter([True])

    def decode(vae, latents):
        if next(full, False):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return true_decode(vae, latents)

    true_decode = paint._painted.__globals__["decode"]
    monkeypatch.setitem(paint._painted.__globals__, "decode", decode)
    batches = Batches(2)
    rest = list(batches(lambda some: paint([one for one, _ in some], [seed for _, seed in some]), rows[2:]))
    assert batches.size == 1
    assert paint.recorded.replay is None
    for one, other in zip(expected, [*first, *rest], strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1
    assert len(traces.recorded) == 1


def test_other_words_of_the_same_shape_are_no_constant_of_the_recording(tiny, crops):
    two, seeds = crops(2), [1, 2]
    paint = with_graph(painter(tiny("plain"), 4, prompt="wood"), 2, Traces())
    first = paint(two, seeds)
    for words in paint.prompt_embeddings.values():
        words.add_(0.5)
    plain = painter(tiny("plain"), 4, prompt="wood")
    for words in plain.prompt_embeddings.values():
        words.add_(0.5)
    second, expected = paint(two, seeds), plain(two, seeds)
    assert any((one != other).any() for one, other in zip(first, second, strict=True))
    assert all((one == other).all() for one, other in zip(second, expected, strict=True))


@pytest.mark.parametrize(
    ("device", "steady", "recorded"), [("cuda", True, True), ("cuda", False, False), ("cpu", True, False)]
)
def test_a_step_is_recorded_on_cuda_where_every_step_works_alike(device, steady, recorded):
    unet = SimpleNamespace(
        device=torch.device(device), config=SimpleNamespace(time_cond_proj_dim=None), _compiled_call_impl=None,
        _call_impl=lambda *given: None,
    )  # fmt: skip
    plain = Painter(SimpleNamespace(unet=unet), {}, resolution=32, steps=2, strength=1.0, steady=steady)
    paint, batch, trouble = removers._quickened(plain, 3, Options(compile="off"))
    assert (batch, trouble) == (3, "")
    assert (paint.recorded is not None) == recorded
    assert unet._compiled_call_impl is paint.recorded
    if recorded:
        assert (paint.recorded.rows, paint.recorded.call) == (3, unet._call_impl)


def test_a_compiled_network_is_what_is_recorded():
    compiled = object()
    unet = SimpleNamespace(config=SimpleNamespace(time_cond_proj_dim=None), _compiled_call_impl=compiled)
    plain = Painter(SimpleNamespace(unet=unet), {}, resolution=32, steps=2, strength=1.0)
    assert with_graph(plain, 2, Traces()).recorded.call is compiled
