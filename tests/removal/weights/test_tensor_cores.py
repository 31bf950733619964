"""TF32 within a scope, for all threads that are in one, and as before afterwards."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from masks import BoxPrompt, TextPrompt, segmenters
from masks.segmenters import load_segmenter
from removal.weights.tensor_cores import on_tensor_cores, tensor_cores


def allowed() -> bool:
    return torch.backends.cuda.matmul.allow_tf32


@pytest.fixture(autouse=True)
def as_it_was():
    yield
    torch.backends.cuda.matmul.allow_tf32 = False


@pytest.mark.parametrize("before", [False, True])
def test_it_is_on_within_the_scope_and_as_before_afterwards_also_after_an_error(before):
    torch.backends.cuda.matmul.allow_tf32 = before
    precision = torch.get_float32_matmul_precision()
    with tensor_cores():
        assert allowed()
    with pytest.raises(KeyError), tensor_cores():
        raise KeyError
    assert allowed() == before
    assert torch.get_float32_matmul_precision() == precision


def test_it_stays_on_until_the_last_thread_leaves():
    inside, may_leave = threading.Event(), threading.Event()

    def other():
        with tensor_cores():
            inside.set()
            may_leave.wait(10)

    thread = threading.Thread(target=other)
    with tensor_cores():
        thread.start()
        assert inside.wait(10)
    assert allowed()
    may_leave.set()
    thread.join()
    assert not allowed()


def test_what_works_in_it_gives_the_same_on_a_cpu():
    torch.manual_seed(0)
    network, numbers = torch.nn.Linear(64, 64), torch.randn(8, 64)
    assert on_tensor_cores(network)(numbers).equal(network(numbers))


@pytest.mark.parametrize(
    ("dtype", "device", "used"), [("auto", "cuda:0", True), ("float32", "cuda:0", False), ("auto", "cpu", False)]
)
def test_segmenters_work_in_it_on_a_gpu_unless_float32_is_asked_for(monkeypatch, dtype, device, used):
    from masks import loading

    seen = []
    monkeypatch.setitem(loading.LOADERS, "grounded-sam", lambda setup: lambda images, prompts: seen.append(allowed()))
    segment = segmenters._load.__wrapped__("grounded-sam", "", "", device, 0.3, True, dtype)
    segment([], [])
    assert seen == [used]
    assert not allowed()


def test_the_bundled_segmenter_finds_the_same_in_it(scenes):
    segment = load_segmenter("bundled")
    images = [one.image for one in scenes[:2]]
    for prompts in ([TextPrompt("red ball"), TextPrompt("blue star")], [BoxPrompt((8.0, 8.0, 90.0, 90.0))] * 2):
        both = zip(segment(images, prompts), on_tensor_cores(segment)(images, prompts), strict=True)
        assert all(np.array_equal(one.mask, other.mask) for one, other in both)
