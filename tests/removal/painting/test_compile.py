"""A compiled UNet paints the same, in one shape of batch whatever is left for the last."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from removal import load_remover

OPTIONS = {"steps": 2, "batch_size": 2, "offline": True, "device": "cpu"}


@pytest.fixture
def graphs(monkeypatch):
    """Compiles as for a GPU, up to the graph, which is then run as it is; a function that tells how many there were."""
    compiled = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **given: compiled(self, backend="eager", **given))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield lambda: torch._dynamo.utils.counters["stats"]["unique_graphs"]
    torch._dynamo.reset()


@pytest.fixture
def job(picture):
    """Three pictures, so that of batches of two the last is short."""
    masks = [np.zeros((32, 32), bool) for _ in range(3)]
    for k, mask in enumerate(masks):
        mask[4 + k : 16, 8 : 20 + k] = True
    return [np.roll(picture(32, 32), 4 * k, axis=0) for k in range(3)], masks, [1, 2, 3]


@pytest.mark.parametrize("kind", ["inpainting", "plain", "xl"])
def test_it_is_the_same_picture_and_one_graph_for_every_batch(tiny, job, graphs, kind):
    plain = load_remover(str(tiny(kind)), **OPTIONS)(*job)
    remove = load_remover(str(tiny(kind)), compile=True, **OPTIONS)
    first, again = remove(*job), remove(*job)
    assert graphs() == 1
    for a, b, c in zip(plain, first, again, strict=True):
        assert np.abs(a.astype(int) - b).max() <= 1
        assert (b == c).all()


def test_a_removal_is_shown_on_its_way_with_the_same_graph(tiny, job, graphs):
    images, masks, seeds = job
    remove = load_remover(str(tiny("plain")), compile=True, **OPTIONS)
    (expected,) = remove(images[:1], masks[:1], seeds[:1])
    frames = list(remove.process(images[0], masks[0], seeds[0]))
    assert (frames[-1] == expected).all()
    assert graphs() == 1


@pytest.mark.parametrize(
    ("options", "instead"),
    [({"attention": "hole"}, "--attention plain"), ({"method": "attentive"}, "another --method")],
)
def test_attention_that_changes_on_the_way_is_refused(tiny, options, instead):
    with pytest.raises(ValueError, match=instead):
        load_remover(str(tiny("plain")), compile=True, **options, **OPTIONS)
