"""A single `.safetensors` file in the original Stable Diffusion layout, from the file to the removed object."""

from __future__ import annotations

import functools
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from removal import Options, load_remover
from removal.checkpoints import fetch
from removal.checkpoints.known import look_up, parent_repo
from removal.checkpoints.presets import (
    KNOWN,
    MOVED,
    SD2,
    SD2_INPAINTING,
    SD15,
    SD15_INPAINTING,
    SDXL,
    SDXL_INPAINTING,
    Checkpoint,
)
from removal.choice import choose
from removal.painting import pipelines

KINDS = ("inpainting", "plain", "sd2", "xl")
ON_CPU = {"device": "cpu", "steps": 2}
LAYERS, LEVELS = 1, 3  # of the tiny checkpoints: resnets to a block of the UNet, blocks of the VAE


@pytest.fixture(scope="module")
def saved(tiny, tmp_path_factory):
    """A function from a kind to one checkpoint three times: diffusers folder, single file, and configs alone.

    The configs are what a parent on the hub gives: no weights, so whatever is loaded comes from the file.
    """
    made = {}

    def save(kind: str):
        if kind not in made:
            place = tmp_path_factory.mktemp(kind)
            folder = _as_wide_as_real(tiny("xl"), place / "folder") if kind == "xl" else tiny(kind)
            save_file(_original(folder), place / "model.safetensors")
            shutil.copytree(folder, place / "configs", ignore=shutil.ignore_patterns("*.safetensors"))
            if kind != "xl":
                _with_safety_checker(place / "configs" / "model_index.json")
            made[kind] = folder, place / "model.safetensors", place / "configs"
        return made[kind]

    return save


@pytest.fixture
def loaded(saved, monkeypatch):
    """A function from a kind to the remover of the folder and the one of the file."""

    def load(kind: str):
        folder, file, configs = saved(kind)
        monkeypatch.setattr(fetch, "parent_repo", lambda _: str(configs))
        return load_remover(str(folder), **ON_CPU), load_remover(str(file), **ON_CPU)

    return load


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """A function that puts configs into an empty hub cache as what a hub id gave; nothing else of the hub is there."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    def put(repo: str, configs):
        place = tmp_path / "hub" / f"models--{repo.replace('/', '--')}"
        shutil.copytree(configs, place / "snapshots" / "0123abc")
        (place / "refs").mkdir()
        (place / "refs" / "main").write_text("0123abc")

    return put


@pytest.mark.parametrize(
    ("kind", "method"),
    [("inpainting", "inpainting"), ("plain", "blending"), ("sd2", "inpainting"), ("xl", "inpainting")],
)
def test_the_method_follows_from_the_file(loaded, no_network, kind, method):
    remove = loaded(kind)[1]
    assert remove.choice.checkpoint.is_file
    assert remove.choice.method == method
    assert remove.paint.pipeline.unet.config.in_channels == (4 if method == "blending" else 9)


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_is_the_one_in_the_file(saved, monkeypatch, no_network, kind):
    """diffusers leaves a weight that it does not find in a file as it was drawn, and says nothing."""
    folder, file, configs = saved(kind)
    monkeypatch.setattr(fetch, "parent_repo", lambda _: str(configs))
    whole, single = (pipelines.pipeline_of(look_up(str(one)), one, configs, torch.float32) for one in (folder, file))
    for part in ("unet", "vae", "text_encoder", *(("text_encoder_2",) if kind == "xl" else ())):
        expected, found = getattr(whole, part).state_dict(), getattr(single, part).state_dict()
        assert expected.keys() == found.keys()
        assert [name for name in expected if not expected[name].equal(found[name])] == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_removes_as_the_folder_with_the_same_weights_and_changes_only_masked_pixels(
    loaded, picture, no_network, kind
):
    image, mask = picture(50, 70), np.zeros((50, 70), bool)
    mask[20:33, 30:41] = True
    whole, single = (remove([image], [mask], [7])[0] for remove in loaded(kind))
    assert (single == whole).all()
    assert (single[~mask] == image[~mask]).all()
    assert (single[mask] != image[mask]).any()


# What the file does not hold -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_channels", [4, 9])
@pytest.mark.parametrize("family", ["sd15", "sd2", "sdxl"])
def test_the_parent_of_every_family_is_a_living_hub_id(family, in_channels):
    parent = look_up(parent_repo(Checkpoint("model.safetensors", family, in_channels)))
    assert parent.repo in KNOWN
    assert (parent.family, parent.in_channels) == (family, in_channels)
    assert parent.repo.count("/") == 1
    assert not parent.is_local
    assert parent.repo not in MOVED
    assert parent.repo in (SD15, SD15_INPAINTING, SD2, SD2_INPAINTING, SDXL, SDXL_INPAINTING)  # not a child of theirs


@pytest.mark.parametrize("kind", KINDS)
def test_offline_takes_the_parents_configs_from_the_hub_cache(saved, hub_cache, picture, no_network, kind):
    folder, file, configs = saved(kind)
    hub_cache(parent_repo(look_up(str(file))), configs)
    image, mask = picture(32, 32), np.zeros((32, 32), bool)
    mask[8:20, 8:20] = True
    options = Options(offline=True, **ON_CPU)
    checkpoint = look_up(str(file))
    painter = pipelines.load(checkpoint, options, checkpoint.in_channels)  # past the cache of load_remover
    assert painter.pipeline.unet.config.in_channels == checkpoint.in_channels
    remove = load_remover(str(file), offline=True, **ON_CPU)
    expected = load_remover(str(folder), **ON_CPU)([image], [mask], [3])[0]
    assert (
        np.abs(remove([image], [mask], [3])[0].astype(int) - expected).max() <= 1
    )  # its weights lie elsewhere in memory


def test_offline_without_the_parents_configs_is_an_os_error_and_asks_nobody(saved, hub_cache, no_network, monkeypatch):
    """`offline` alone has to do: HF_HUB_OFFLINE, which the command line sets too, is away here."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    checkpoint = look_up(str(saved("inpainting")[1]))
    with pytest.raises(OSError, match="offline forbids fetching it; `cleanplate models pull"):
        pipelines.load(checkpoint, Options(offline=True, **ON_CPU), in_channels=9)


@pytest.mark.parametrize("method", ["auto", "inpainting", "blending"])
def test_a_file_with_any_other_number_of_channels_is_refused_whatever_the_method(tmp_path, method):
    first = np.zeros((8, 8, 3, 3), np.float16)  # as instruct-pix2pix
    save_file({"model.diffusion_model.input_blocks.0.0.weight": first}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="has 8 input channels; 4 and 9 can"):
        choose(str(tmp_path / "model.safetensors"), method)


@pytest.mark.parametrize(
    ("part", "missing"), [("first_stage_model", "AutoencoderKL"), ("cond_stage_model", "CLIPTextModel")]
)
def test_a_file_without_a_part_says_which(saved, tmp_path, monkeypatch, no_network, part, missing):
    """Files of a UNet alone, or without a VAE, are common."""
    _, file, configs = saved("plain")
    kept = {name: weight for name, weight in load_file(file).items() if not name.startswith(part)}
    save_file(kept, tmp_path / "part.safetensors")
    monkeypatch.setattr(fetch, "parent_repo", lambda _: str(configs))
    with pytest.raises(ValueError, match=rf"part\.safetensors does not hold all the weights: Failed to load {missing}"):
        load_remover(str(tmp_path / "part.safetensors"), **ON_CPU)


@pytest.mark.parametrize("kind", ["inpainting", "sd2", "xl"])
@pytest.mark.parametrize(
    ("lacking", "part"),
    [("model.diffusion_model.middle_block.0.", "unet"), ("first_stage_model.decoder.mid.block_2.", "vae")],
)
def test_a_file_that_lacks_some_tensors_names_them_rather_than_removing_with_noise(
    saved, tmp_path, monkeypatch, no_network, kind, lacking, part
):
    """diffusers would leave them as they were drawn."""
    _, file, configs = saved(kind)
    kept = {name: weight for name, weight in load_file(file).items() if not name.startswith(lacking)}
    save_file(kept, tmp_path / "part.safetensors")
    monkeypatch.setattr(fetch, "parent_repo", lambda _: str(configs))
    where = r"mid_block\.resnets\.0" if part == "unet" else r"decoder\.mid_block\.resnets\.1"
    with pytest.raises(ValueError, match=rf"its {part} lacks {where}\.\S+, .* and \d+ more; fetch it again"):
        load_remover(str(tmp_path / "part.safetensors"), **ON_CPU)


@pytest.mark.parametrize("kind", ["inpainting", "sd2", "xl"])
def test_a_text_encoder_that_lacks_a_tensor_is_named_too(saved, tmp_path, monkeypatch, no_network, kind):
    _, file, configs = saved(kind)
    weights = load_file(file)
    lacking = next(name for name in weights if name.startswith("cond") and name.endswith((".c_fc.bias", ".fc1.bias")))
    save_file({name: weight for name, weight in weights.items() if name != lacking}, tmp_path / "part.safetensors")
    monkeypatch.setattr(fetch, "parent_repo", lambda _: str(configs))
    with pytest.raises(ValueError, match=r"its text_encoder\w* lacks \S*fc1\.bias; fetch it again"):
        load_remover(str(tmp_path / "part.safetensors"), **ON_CPU)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["", "model.diffusion_model.", "first_stage_model.", "text"])
def test_a_file_with_a_tensor_too_many_is_refused_with_its_name(saved, tmp_path, monkeypatch, no_network, kind, place):
    """diffusers would drop it: a network in the file may be another than the one that is built."""
    _, file, configs = saved(kind)
    weights = load_file(file)
    if place == "text":
        place = next(name for name in weights if name.startswith("cond")).split("transformer.")[0]
    save_file(weights | {f"{place}middle.of_another.weight": np.zeros(3, np.float32)}, tmp_path / "more.safetensors")
    monkeypatch.setattr(fetch, "parent_repo", lambda _: str(configs))
    with pytest.raises(
        ValueError, match=r"more\.safetensors holds more than .*middle\.of_another\.weight would be dropped"
    ):
        load_remover(str(tmp_path / "more.safetensors"), **ON_CPU, prompt="one of its own")


def test_what_training_leaves_in_a_file_is_ignored(saved, tmp_path, monkeypatch, no_network):
    _, file, configs = saved("plain")
    names = ("model_ema.decay", "model_ema.diffusion_modelout2bias", "betas", "sqrt_recipm1_alphas_cumprod")
    names += ("posterior_log_variance_clipped", "posterior_mean_coef1", "log_one_minus_alphas_cumprod")
    save_file(load_file(file) | {name: np.ones(3, np.float32) for name in names}, tmp_path / "trained.safetensors")
    monkeypatch.setattr(fetch, "parent_repo", lambda _: str(configs))
    load_remover(str(tmp_path / "trained.safetensors"), **ON_CPU)


def test_a_file_of_other_sizes_than_its_first_tensors_say_is_refused(saved, tmp_path, monkeypatch, no_network):
    _, file, configs = saved("plain")
    weights = load_file(file)
    weights["model.diffusion_model.out.2.weight"] = np.zeros((4, 99, 3, 3), np.float32)
    save_file(weights, tmp_path / "odd.safetensors")
    monkeypatch.setattr(fetch, "parent_repo", lambda _: str(configs))
    with pytest.raises(ValueError, match="is not a checkpoint of the kind that its first tensors suggest"):
        load_remover(str(tmp_path / "odd.safetensors"), **ON_CPU)


# From a diffusers folder to the original layout: what diffusers/loaders/single_file_utils.py undoes ------------------


def _as_wide_as_real(xl, target):
    """The tiny SDXL with a wider second text encoder: diffusers tells the two in a file apart by their width."""
    from diffusers import StableDiffusionXLInpaintPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    pipeline = StableDiffusionXLInpaintPipeline.from_pretrained(xl, add_watermarker=False)
    words = CLIPTextConfig(**pipeline.text_encoder_2.config.to_dict() | {"hidden_size": 32, "projection_dim": 32})
    wider = {"cross_attention_dim": 16 + 32, "projection_class_embeddings_input_dim": 32 + 6 * 8}
    pipeline.register_modules(
        text_encoder_2=CLIPTextModelWithProjection(words),
        unet=UNet2DConditionModel.from_config({**pipeline.unet.config, **wider}),
    )
    pipeline.save_pretrained(target)
    return target


def _with_safety_checker(index):
    """Say in a model index what the real ones of sd15 say: that there is a safety checker too."""
    parts = json.loads(index.read_text())
    parts["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    parts["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
    index.write_text(json.dumps(parts | {"requires_safety_checker": True}))


def _original(folder) -> dict[str, np.ndarray]:
    """The weights of a diffusers folder by their original names, and what else real files carry."""
    unet = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    vae = load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
    clip = load_file(folder / "text_encoder" / "model.safetensors")
    xl = (folder / "text_encoder_2").exists()
    text = "conditioner.embedders.0.transformer." if xl else "cond_stage_model.transformer."
    weights = {f"model.diffusion_model.{_unet_name(name, unet)}": weight for name, weight in unet.items()}
    for name, weight in vae.items():
        attention = "attentions" in name and weight.ndim == 2  # a 1×1 convolution there, a matrix here
        weights[f"first_stage_model.{_vae_name(name)}"] = weight[:, :, None, None] if attention else weight
    if sd2 := look_up(str(folder)).family == "sd2":
        text = "cond_stage_model.model."
        wrapped = {f"text_model.{name.removeprefix('text_model.')}": weight for name, weight in clip.items()}
        clip = _open_clip(wrapped) | {"text_projection": np.eye(1024, dtype=np.float32)}
        clip |= {"transformer.resblocks.23.ln_1.weight": np.ones(1024, np.float32)}  # the last layer, which it skips
    for name, weight in clip.items():
        weights[f"{text}{name}" if sd2 else f"{text}text_model.{name.removeprefix('text_model.')}"] = weight
    if xl:
        second = _open_clip(load_file(folder / "text_encoder_2" / "model.safetensors"))
        weights |= {f"conditioner.embedders.1.model.{name}": weight for name, weight in second.items()}
    places = np.arange(len(clip[next(name for name in clip if "position" in name)]))
    rest = {} if sd2 else {f"{text}text_model.embeddings.position_ids": places[None]}
    rest |= {"alphas_cumprod": np.ones(1000, np.float32)}
    return {name: np.ascontiguousarray(weight) for name, weight in (weights | rest).items()}


OUTER = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out": "proj_out"}
OPEN_CLIP = {
    "text_model.encoder.layers": "transformer.resblocks",
    "text_model.embeddings.token_embedding": "token_embedding",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm": "ln_final",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "fc1": "c_fc",
    "fc2": "c_proj",
    "self_attn": "attn",
}


def _unet_name(name: str, names) -> str:
    block = (
        LAYERS + 1
    )  # original blocks to one of diffusers: resnets and a downsampler, or one resnet more on the way up
    match name.split("."):
        case ["down_blocks", i, "downsamplers", _, _, end]:
            return f"input_blocks.{(int(i) + 1) * block}.0.op.{end}"
        case ["up_blocks", i, "upsamplers", _, _, end]:
            attended = any(other.startswith(f"up_blocks.{i}.attentions") for other in names)
            return f"output_blocks.{(int(i) + 1) * block - 1}.{2 if attended else 1}.conv.{end}"
        case ["down_blocks", i, "resnets", j, layer, end]:
            return f"input_blocks.{1 + int(i) * block + int(j)}.0.{RESNET[layer]}.{end}"
        case ["down_blocks", i, "attentions", j, *rest]:
            return f"input_blocks.{1 + int(i) * block + int(j)}.1.{'.'.join(rest)}"
        case ["mid_block", "resnets", j, layer, end]:
            return f"middle_block.{2 * int(j)}.{RESNET[layer]}.{end}"
        case ["mid_block", "attentions", _, *rest]:
            return f"middle_block.1.{'.'.join(rest)}"
        case ["up_blocks", i, "resnets", j, layer, end]:
            return f"output_blocks.{int(i) * block + int(j)}.0.{RESNET[layer]}.{end}"
        case ["up_blocks", i, "attentions", j, *rest]:
            return f"output_blocks.{int(i) * block + int(j)}.1.{'.'.join(rest)}"
    layer, end = name.rsplit(".", 1)
    return f"{OUTER[layer]}.{end}"


def _vae_name(name: str) -> str:
    match name.split("."):
        case [half, "down_blocks" | "up_blocks" as way, i, part, j, *rest]:
            head = f"{half}.down.{i}" if way == "down_blocks" else f"{half}.up.{LEVELS - 1 - int(i)}"
            name = ".".join([head, *(["block", j] if part == "resnets" else [part.removesuffix("rs")]), *rest])
        case [half, "mid_block", "resnets", j, *rest]:
            name = ".".join([half, "mid", f"block_{int(j) + 1}", *rest])
        case [half, "mid_block", "attentions", _, layer, *rest]:
            name = ".".join([half, "mid", "attn_1", VAE_ATTENTION[layer], rest[-1]])
    return name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")


def _open_clip(clip) -> dict[str, np.ndarray]:
    """A text encoder of transformers as OpenCLIP's: query, key and value in one matrix, the projection transposed."""
    weights = {}
    for name, weight in clip.items():
        original = functools.reduce(lambda text, pair: text.replace(*pair), OPEN_CLIP.items(), name)
        if name == "text_projection.weight":
            weights["text_projection"] = weight.T
        elif ".q_proj." in name:
            three = [clip[name.replace("q_proj", f"{part}_proj")] for part in "qkv"]
            weights[original.replace("q_proj.", "in_proj_")] = np.concatenate(three)
        elif ".k_proj." not in name and ".v_proj." not in name:
            weights[original] = weight
    return weights
