"""Weights by hub id, by revision and by folder, from a cache on disk in the hub's own layout."""

from __future__ import annotations

import shutil

import pytest

from masks import TextPrompt, load_segmenter
from masks.hub import Weights
from masks.segmenters import BUNDLED

FIRST, SECOND = "a" * 40, "b" * 40


@pytest.fixture
def cache(tmp_path, monkeypatch, no_network):
    """A hub cache that holds two commits of me/clipseg: the bundled one, and one whose decoder is nought."""
    import huggingface_hub.constants
    from safetensors.torch import load_file, save_file

    repo = tmp_path / "models--me--clipseg"
    for commit in (FIRST, SECOND):
        shutil.copytree(BUNDLED / "clipseg", repo / "snapshots" / commit)
    weights = repo / "snapshots" / FIRST / "model.safetensors"
    save_file(
        {k: v * 0 if k.startswith("decoder.") else v for k, v in load_file(weights).items()},
        weights,
        {"format": "pt"},
    )
    (repo / "refs").mkdir()
    (repo / "refs/main").write_text(SECOND)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_an_id_means_its_newest_commit_and_at_a_revision_that_one(cache, scenes):
    image, prompt = scenes[0].image, TextPrompt(scenes[0].target.text)
    newest, first = (
        load_segmenter(f"clipseg:{name}", threshold=0.6, offline=True)([image], [prompt])[0]
        for name in ("me/clipseg", f"me/clipseg@{FIRST}")
    )
    assert (newest.mask == load_segmenter("bundled", threshold=0.6)([image], [prompt])[0].mask).all()
    assert newest
    assert not first  # a decoder of nought is nowhere surer than a half


def test_a_revision_that_cannot_be_had_is_named_with_its_id(cache):
    with pytest.raises(OSError, match=rf"the weights of me/clipseg at {'c' * 40} cannot be had"):
        load_segmenter(f"clipseg:me/clipseg@{'c' * 40}", offline=True)


@pytest.mark.parametrize(
    ("text", "repo", "revision"),
    [("me/dino", "me/dino", ""), ("me/dino@v2", "me/dino", "v2"), ("/a/b", "/a/b", ""), ("me/d@e@f", "me/d@e", "f")],
)
def test_a_revision_follows_the_last_at_sign(text, repo, revision):
    assert Weights.parse(text, offline=True) == Weights(repo, revision, True)


def test_a_folder_may_have_an_at_sign_in_its_name(tmp_path):
    (tmp_path / "dino@home").mkdir()
    assert Weights.parse(str(tmp_path / "dino@home")) == Weights(str(tmp_path / "dino@home"))


def test_a_folder_whose_weights_are_in_the_older_format_is_not_read(tmp_path, dino):
    """A .bin file is a pickle and could hold code."""
    import torch
    from safetensors.torch import load_file
    from transformers import GroundingDinoForObjectDetection

    shutil.copytree(dino, tmp_path / "old")
    torch.save(load_file(tmp_path / "old/model.safetensors"), tmp_path / "old/pytorch_model.bin")
    (tmp_path / "old/model.safetensors").unlink()
    with pytest.raises(OSError, match="safetensors"):
        Weights(str(tmp_path / "old")).load(GroundingDinoForObjectDetection)
