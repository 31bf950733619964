"""A checkpoint's files by their names: what is needed of a repo, and which of two precisions."""

from __future__ import annotations

import hashlib
import shutil

import pytest
import torch

from removal.checkpoints.diffusers_folder import license_in, license_of, name_of, needed, sha256, variant_of
from removal.checkpoints.known import look_up
from removal.options import Options
from removal.painting import pipelines

ON_CPU = {"offline": True, "device": "cpu", "steps": 1}
SD15 = [  # as stable-diffusion-v1-5/stable-diffusion-inpainting lists its files
    "README.md", "model_index.json", "sd-v1-5-inpainting.ckpt", "feature_extractor/preprocessor_config.json",
    "safety_checker/config.json", "safety_checker/model.fp16.safetensors", "scheduler/scheduler_config.json",
    "text_encoder/config.json", "text_encoder/model.safetensors", "text_encoder/model.fp16.safetensors",
    "text_encoder/pytorch_model.bin", "tokenizer/merges.txt", "tokenizer/vocab.json", "unet/config.json",
    "unet/diffusion_pytorch_model.bin", "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.non_ema.safetensors", "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.fp16.safetensors",
]  # fmt: skip
CONFIGS = {name for name in SD15 if name.endswith((".json", ".txt", ".md"))} - {
    "feature_extractor/preprocessor_config.json",
    "safety_checker/config.json",
}


def test_of_a_repo_one_set_of_weights_a_network_is_needed_and_nothing_that_runs_code():
    assert set(needed(SD15, "fp16")) == CONFIGS | {
        "text_encoder/model.fp16.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.fp16.safetensors",
    }


def test_half_precision_is_taken_where_there_is_nothing_else():
    assert {name for name in needed(SD15) if name.endswith(".safetensors")} == {
        "text_encoder/model.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
    }


def test_only_the_weights_asked_for_come_with_the_configs():
    assert set(needed(SD15, of=())) == CONFIGS
    assert set(needed(SD15, of=("unet",))) - CONFIGS == {"unet/diffusion_pytorch_model.fp16.safetensors"}


@pytest.mark.parametrize("variant", [None, "fp16"])
def test_shards_come_with_their_own_index(variant):
    kind = ".fp16" if variant else ""
    shards = {f"unet/diffusion_pytorch_model{kind}-0000{k}-of-00002.safetensors" for k in (1, 2)}
    index = f"unet/diffusion_pytorch_model.safetensors.index{kind}.json"
    other = ["unet/diffusion_pytorch_model.safetensors" if variant else "unet/diffusion_pytorch_model.fp16.safetensors"]
    names = [name for name in SD15 if not name.startswith("unet/diff")] + [*shards, index, *other]
    assert {name for name in needed(names, variant) if name.startswith("unet/diff")} == {*shards, index}


def test_a_network_in_other_formats_alone_is_refused_with_the_reason():
    names = [name for name in SD15 if not name.startswith("vae/diff")] + ["vae/diffusion_pytorch_model.bin"]
    with pytest.raises(
        ValueError, match=r"has no vae/diffusion_pytorch_model\.safetensors; other formats can run code"
    ):
        needed(names)


@pytest.fixture
def half(tiny, tmp_path):
    """A function from a kind to a folder with weights of half precision alone, as `variant="fp16"` saves it."""
    from diffusers import DiffusionPipeline

    def save(kind: str):
        pipeline = DiffusionPipeline.from_pretrained(tiny(kind), dtype=torch.float16)
        pipeline.save_pretrained(tmp_path / "half", variant="fp16")
        return tmp_path / "half"

    return save


@pytest.mark.parametrize("kind", ["inpainting", "plain", "xl"])
def test_a_folder_of_half_precision_alone_is_picked_up_and_computes_in_full(half, kind):
    folder = half(kind)
    checkpoint = look_up(str(folder))
    assert variant_of(folder, None) == "fp16"
    unet = pipelines.load(checkpoint, Options(**ON_CPU), checkpoint.in_channels).pipeline.unet
    assert unet.dtype == torch.float32
    assert all(weight.equal(weight.half().float()) for weight in unet.state_dict().values())


def test_with_both_the_full_ones_are_loaded_unless_the_half_ones_are_asked_for(tiny, half):
    folder = half("plain")
    shutil.copytree(tiny("plain"), folder, dirs_exist_ok=True)
    assert (variant_of(folder, None), variant_of(folder, "fp16")) == (None, "fp16")
    unet = pipelines.load(look_up(str(folder)), Options(**ON_CPU), 4).pipeline.unet
    assert not all(weight.equal(weight.half().float()) for weight in unet.state_dict().values())


def test_a_card_says_its_licence_in_its_head():
    assert license_in("---\ntags:\n- art\nlicense: mit\n---\nlicense: none\n") == "mit"
    assert license_in("---\nlicense: other\nlicense_name: sai-nc-community\n---\n") == "sai-nc-community"
    assert license_in("license: mit\n") is None


def test_a_snapshot_of_the_hub_has_its_id_for_a_name_its_licence_and_the_names_of_its_blobs_for_hashes(tmp_path):
    repo = "stable-diffusion-v1-5/stable-diffusion-v1-5"
    cached = tmp_path / f"models--{repo.replace('/', '--')}"
    snapshot, blob = cached / "snapshots" / "0123abc", cached / "blobs" / ("0" * 64)
    for folder in (snapshot, blob.parent):
        folder.mkdir(parents=True)
    blob.write_bytes(b"weights")
    (snapshot / "model.safetensors").symlink_to(blob)
    assert (name_of(snapshot), license_of(snapshot)) == (repo, "creativeml-openrail-m")
    assert sha256(snapshot / "model.safetensors") == blob.name


def test_a_folder_of_ones_own_has_its_path_for_a_name_its_cards_licence_and_true_hashes(tmp_path):
    card = tmp_path / "README.md"
    assert (name_of(tmp_path), license_of(tmp_path)) == (str(tmp_path), None)
    card.write_text("---\ntags:\n- art\nlicense: cc0-1.0\n---\nlicense: none\n")
    assert license_of(tmp_path) == "cc0-1.0"
    assert sha256(card) == hashlib.sha256(card.read_bytes()).hexdigest()
