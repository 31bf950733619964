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
from masks.sam2 import Sam2Network
from masks.sam3 import Sam3Network, Sam3TextSegmenter
from masks.segmenters import BUNDLED
from removal.weights.networks import Weights
from tests.stand_in_hub import Hub, ask_it, commit, serving

FIRST, SECOND = "a" * 40, "b" * 40


@pytest.fixture
def cache(tmp_path, monkeypatch, no_network):
    """A hub cache that holds two commits of me/clipseg: the bundled one, and one whose decoder is nought."""
    import huggingface_hub.constants

    repo = tmp_path / "models--me--clipseg"
    for one in (FIRST, SECOND):
        shutil.copytree(BUNDLED / "clipseg", repo / "snapshots" / one)
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


@pytest.fixture
def online(tmp_path, monkeypatch):
    """A hub with a repository of CLIPSeg's, which also holds what is not needed; others are gated or missing."""
    folder = tmp_path / "clipseg"
    shutil.copytree(BUNDLED / "clipseg", folder)
    for name in ("pytorch_model.bin", "README.md"):
        (folder / name).write_bytes(b"not needed")
    with serving({"someone/clipseg": folder}) as hub:
        ask_it(hub, tmp_path / "hub", monkeypatch)
        yield hub


@pytest.mark.parametrize(
    ("repo", "words"),
    [
        ("someone/gated", r"is gated: accept its terms at https://huggingface\.co/someone/gated, then set HF_TOKEN"),
        ("someone/missing", "the hub has no someone/missing, or keeps it private: check its spelling"),
    ],
)
@pytest.mark.parametrize("segmenter", ["clipseg:{}", "sam2:{}", "grounded-sam2:+{}", "owlv2-sam:+{}"])
def test_a_refused_segmenter_says_what_to_do_as_a_refused_checkpoint_does(online, sam2, repo, words, segmenter):
    name = segmenter.format(repo).replace("grounded-sam2:+", f"grounded-sam2:{sam2}+")
    with pytest.raises(OSError, match=rf"the weights of {repo} are unavailable: .*{words}"):
        load_segmenter(name.replace("owlv2-sam:+", f"owlv2-sam:{BUNDLED / 'sam'}+"))


def test_refused_access_to_sam3_is_answered_with_what_is_open_to_everybody(online):
    with pytest.raises(OSError, match=r"is gated: .*where access is refused, .*sam3-litetext.*llmdet-sam"):
        load_segmenter("sam3:someone/gated")


def test_of_a_segmenter_only_what_it_needs_is_fetched_and_only_once(online: Hub, scenes, monkeypatch):
    image, prompt = scenes[0].image, TextPrompt(scenes[0].target.text)
    (found,) = load_segmenter("clipseg:someone/clipseg", threshold=0.6)([image], [prompt])
    assert (found.mask == load_segmenter("bundled", threshold=0.6)([image], [prompt])[0].mask).all()
    fetched = online.fetched()
    assert "model.safetensors" in fetched
    assert not {"pytorch_model.bin", "README.md"} & {*fetched}
    assert len(fetched) == len({*fetched})
    online.asked.clear()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # the connection is gone
    again = load_segmenter(f"clipseg:someone/clipseg@{commit('someone/clipseg')}", threshold=0.6)
    assert (again([image], [prompt])[0].mask == found.mask).all()


def test_a_path_that_is_not_there_is_answered_with_what_may_be_given():
    with pytest.raises(OSError, match=r"there are no weights at \./nowhere; give a hub id, or a folder"):
        load_segmenter("clipseg:./nowhere")


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


DETECTOR = "detector_model."  # what the video model calls the network for pictures
LOADED = ["dino", "mm_dino", "owlv2", "sam2", "sam3", "clipseg"]


def _load(name: str, folder: Path) -> None:
    segmenter = {"dino": "GroundingDino", "mm_dino": "GroundingDino", "owlv2": "Owlv2"}.get(name)
    weights = Weights(str(folder), offline=True)
    if segmenter:
        getattr(detectors, segmenter)(weights, "cpu", 0.3)
    elif name == "sam3":
        Sam3TextSegmenter(weights, "cpu", 0.3, torch.float32)
        Sam3Network(weights, "cpu", torch.float32)
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
    with pytest.raises(ValueError, match=rf"they lack .*{re.escape(lost[0].removeprefix(DETECTOR))}"):
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
    with pytest.raises(
        ValueError, match=rf"they have in another size .*{re.escape(resized[0].removeprefix(DETECTOR))}"
    ):
        _load(name, folder)


def test_what_earlier_releases_saved_beside_the_weights_is_ignored(copied):
    name, folder = copied
    _changed(folder, lambda state: state.update({"text_model.embeddings.position_ids": torch.zeros(1, 4)}))
    _load(name, folder)
