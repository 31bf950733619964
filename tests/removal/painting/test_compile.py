"""Compiled networks paint the same, in one shape of batch whatever is left for the last; or go on uncompiled."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

from removal import load_remover
from removal.painting.compiling import order_on, wanted

ONCE = """
import json, sys, torch
from removal import load_remover
remove = load_remover(sys.argv[1], compile="on", steps=1, batch_size=1, offline=True, device="cpu")
seen = torch._dynamo.utils.counters["inductor"]
print(json.dumps([remove.choice.reason, seen["fxgraph_cache_hit"], seen["fxgraph_cache_miss"]]))
"""
OPTIONS = {"steps": 2, "batch_size": 2, "offline": True, "device": "cpu"}


@pytest.fixture
def graphs(monkeypatch):
    """Compiles as for a GPU, up to the graph, which is then run as it is; a function that tells how many there were.

    Three are compiled: the UNet, and the two halves of the autoencoder.
    """
    compiled = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **given: compiled(self, backend="eager", **given))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield lambda: torch._dynamo.utils.counters["stats"]["unique_graphs"]
    torch._dynamo.reset()


@pytest.mark.parametrize("kind", ["inpainting", "plain", "xl"])
def test_it_is_the_same_picture_and_one_graph_a_network_for_every_batch(tiny, job, graphs, kind):
    plain = load_remover(str(tiny(kind)), **OPTIONS)(*job)
    remove = load_remover(str(tiny(kind)), compile="on", **OPTIONS)
    first, again = remove(*job), remove(*job)
    assert graphs() == 3
    for a, b, c in zip(plain, first, again, strict=True):
        assert np.abs(a.astype(int) - b).max() <= 1
        assert (b == c).all()


def test_a_removal_is_shown_on_its_way_with_the_same_graph(tiny, job, graphs):
    images, masks, seeds = job
    remove = load_remover(str(tiny("plain")), compile="on", **OPTIONS)
    (expected,) = remove(images[:1], masks[:1], seeds[:1])
    frames = list(remove.process(images[0], masks[0], seeds[0]))
    assert (frames[-1] == expected).all()
    assert graphs() == 3


@pytest.mark.parametrize(
    ("options", "instead"),
    [({"attention": "hole"}, "--attention plain"), ({"method": "attentive"}, "another --method")],
)
def test_attention_that_changes_on_the_way_is_refused(tiny, options, instead):
    with pytest.raises(ValueError, match=instead):
        load_remover(str(tiny("plain")), compile="on", **options, **OPTIONS)


@pytest.fixture
def without_a_compiler(monkeypatch):
    """As where no C compiler is: a network says so when it is first called. A list of what was compiled."""
    tried = []

    def compile(network, **given):
        tried.append(network)
        network._compiled_call_impl = lambda *_, **__: (_ for _ in ()).throw(RuntimeError("Failed to find C compiler."))

    monkeypatch.setattr(torch.nn.Module, "compile", compile)
    return tried


@pytest.mark.parametrize("kind", ["inpainting", "plain"])
def test_where_compiling_fails_it_goes_on_uncompiled_says_so_once_and_the_reason_tells(
    tiny, job, without_a_compiler, kind
):
    plain = load_remover(str(tiny(kind)), compile="off", **OPTIONS)
    with pytest.warns(UserWarning, match="not compiled and works slower: Failed to find C compiler") as said:
        remove = load_remover(str(tiny(kind)), compile="on", **OPTIONS)
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*not compiled")
        assert all((one == other).all() for one, other in zip(remove(*job), plain(*job), strict=True))
    assert remove.choice.reason == f"{plain.choice.reason}; not compiled: Failed to find C compiler."
    assert not remove.whole_batches


def test_nothing_is_compiled_on_a_cpu_by_itself(tiny, job, without_a_compiler):
    load_remover(str(tiny("inpainting")), compile="auto", **OPTIONS)(*job)
    assert not without_a_compiler


def test_a_cache_that_belongs_to_somebody_else_is_not_run(tiny, job, without_a_compiler, monkeypatch):
    """Compiled code is code."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.warns(UserWarning, match="belongs to another user and may hold code of theirs"):
        load_remover(str(tiny("plain")), compile="on", **OPTIONS | {"steps": 3})(*job)
    assert not without_a_compiler


def test_the_cache_of_compiled_code_is_its_owners_alone(tiny, graphs, tmp_path, monkeypatch):
    monkeypatch.setenv("CLEANPLATE_CACHE", str(tmp_path))
    (tmp_path / "compiled" / f"torch-{torch.__version__}").mkdir(parents=True, mode=0o777)
    load_remover(str(tiny("plain")), compile="on", **OPTIONS | {"steps": 4})
    (folder,) = (tmp_path / "compiled").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [file.suffix for file in folder.iterdir()] == [".warm"]


@pytest.mark.parametrize(
    ("asked", "device", "warm", "compiled"),
    [
        ("auto", "cuda", True, True),
        ("auto", "cuda", False, False),
        ("auto", "cpu", True, False),
        ("on", "cpu", False, True),
        ("on", "cuda", False, True),
        ("off", "cuda", True, False),
    ],
)
def test_unasked_a_model_is_compiled_on_a_gpu_where_an_earlier_process_left_its_results(asked, device, warm, compiled):
    assert wanted(asked, device, warm) == compiled


def test_weights_lie_channels_last_only_where_they_are_compiled_for_a_gpu():
    """Eager, PyTorch's GroupNorm turns them round and round."""
    last, own = torch.channels_last, torch.contiguous_format
    asked = [("cuda", True), ("cuda", False), ("cpu", True), ("cpu", False)]
    assert [order_on(torch.device(name), compiled) for name, compiled in asked] == [last, own, own, own]


@pytest.mark.slow
def test_a_second_process_compiles_nothing_again(tiny, tmp_path):
    """By a real compiler. The cache is its owner's alone, since it is code."""
    said = []
    for _ in range(2):
        surroundings = os.environ | {"CLEANPLATE_CACHE": str(tmp_path), "OMP_NUM_THREADS": "1"}
        call = [sys.executable, "-c", ONCE, str(tiny("plain"))]
        done = subprocess.run(call, env=surroundings, capture_output=True, text=True, check=True)
        said.append(json.loads(done.stdout))
    (first, _, missed), (second, hit, again) = said
    assert "not compiled" not in first + second
    assert missed >= 3
    assert (hit, again) == (missed, 0)
    (folder,) = (tmp_path / "compiled").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
