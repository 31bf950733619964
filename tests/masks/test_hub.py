"""Weights by hub id, by revision and by folder, from a cache on disk in the hub's own layout."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from masks import TextPrompt, detectors, load_segmenter
from masks.clipseg import ClipSegSegmenter
from masks.hub import Weights
from masks.sam2 import Sam2Network
from masks.segmenters import BUNDLED

FIRST, SECOND = "a" * 40, "b" * 40


@pytest.fixture
def cache(tmp_path, monkeypatch, no_network):
    """A hub cache that holds two commits of me/clipseg: the bundled one, and one whose decoder is nought."""
    import huggingface_hub.constants

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
    with pytest.raises(OSError, match=rf"the weights of me/clipseg at {'c' * 40} are unavailable"):
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
    from transformers import GroundingDinoForObjectDetection

    shutil.copytree(dino, tmp_path / "old")
    torch.save(load_file(tmp_path / "old/model.safetensors"), tmp_path / "old/pytorch_model.bin")
    (tmp_path / "old/model.safetensors").unlink()
    with pytest.raises(OSError, match="safetensors"):
        Weights(str(tmp_path / "old")).load(GroundingDinoForObjectDetection)


LOADED = ["dino", "mm_dino", "owlv2", "sam2", "clipseg"]


def _load(name: str, folder: Path) -> None:
    segmenter = {"dino": "GroundingDino", "mm_dino": "GroundingDino", "owlv2": "Owlv2"}.get(name)
    weights = Weights(str(folder), offline=True)
    if segmenter:
        getattr(detectors, segmenter)(weights, "cpu", 0.3)
    elif name == "sam2":
        Sam2Network(weights, "cpu", torch.float32)
    else:
        ClipSegSegmenter(weights, "cpu", 0.4)


@pytest.fixture(params=LOADED)
def copied(request, tmp_path) -> tuple[str, Path]:
    """A folder of weights that may be changed."""
    name = request.param
    folder = BUNDLED / "clipseg" if name == "clipseg" else request.getfixturevalue(name)
    shutil.copytree(folder, tmp_path / "weights")
    return name, tmp_path / "weights"


def _changed(folder: Path, change) -> None:
    file = folder / "model.safetensors"
    state = load_file(file)
    change(state)
    save_file(state, file, metadata={"format": "pt"})


def test_weights_that_lack_a_tensor_are_refused_with_its_name(copied):
    name, folder = copied
    lost = []

    def change(state):
        lost.append(
            next(key for key in sorted(state) if re.search(r"text_backbone.*weight|q_proj.weight|iou_token", key))
        )
        del state[lost[0]]

    _changed(folder, change)
    with pytest.raises(ValueError, match=rf"they lack .*{re.escape(lost[0])}"):
        _load(name, folder)


def test_weights_that_hold_a_tensor_of_another_network_are_refused_with_its_name(copied):
    name, folder = copied
    _changed(folder, lambda state: state.update({"another.head.weight": torch.zeros(3)}))
    with pytest.raises(ValueError, match=r"they hold besides another\.head\.weight"):
        _load(name, folder)


def test_a_tensor_of_another_size_is_refused_with_its_name(copied):
    name, folder = copied
    resized = []

    def change(state):
        resized.append("mask_decoder.iou_token.weight" if name == "sam2" else sorted(state)[0])
        state[resized[0]] = torch.zeros(2, 2, 2, 2, 2)

    _changed(folder, change)
    with pytest.raises(ValueError, match=rf"they have in another size .*{re.escape(resized[0])}"):
        _load(name, folder)


def test_what_earlier_releases_saved_beside_the_weights_is_ignored(copied):
    name, folder = copied
    _changed(folder, lambda state: state.update({"text_model.embeddings.position_ids": torch.zeros(1, 4)}))
    _load(name, folder)
