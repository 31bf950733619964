"""Which checkpoint removes, by which method, and why: every line of the decision."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from removal.checkpoints.known import look_up
from removal.checkpoints.presets import KNOWN, MOVED, PRESETS, SD2, SD15, SDXL, Checkpoint
from removal.choice import choose
from removal.methods.table import METHODS
from removal.weights.licenses import is_noncommercial, refuse_unaccepted

FIRST = "model.diffusion_model.input_blocks.0.0.weight"
ATTENDED = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"


@pytest.fixture
def folder(tmp_path):
    """A function that writes a diffusers folder with only a UNet config, by what the config says."""

    def write(name: str = "model", **unet):
        (tmp_path / name / "unet").mkdir(parents=True)
        (tmp_path / name / "unet" / "config.json").write_text(json.dumps(unet))
        return str(tmp_path / name)

    return write


@pytest.fixture
def file(tmp_path):
    """A function that writes a `.safetensors` file of float16 zeros, by the tensors' shapes."""

    def write(name: str = "model.safetensors", **shapes):
        save_file({key: np.zeros(shape, np.float16) for key, shape in shapes.items()}, tmp_path / name)
        return str(tmp_path / name)

    return write


# --method auto -------------------------------------------------------------------------------------------------------


def test_9_channels_are_for_inpainting(folder):
    choice = choose(folder(in_channels=9, cross_attention_dim=768))
    assert (choice.method, choice.checkpoint.in_channels) == ("inpainting", 9)
    assert "9 input channels" in choice.reason


@pytest.mark.parametrize(
    ("model", "sibling"), [("bundled-base", "bundled"), (SD15, "sd15"), (SD2, "sd2"), (SDXL, "sdxl")]
)
def test_4_channels_with_a_known_inpainting_sibling_give_way_to_it(model, sibling):
    choice = choose(model)
    assert (choice.method, choice.checkpoint) == ("inpainting", PRESETS[sibling])
    assert sibling in choice.reason


@pytest.mark.parametrize("model", ["bundled-base", SD15, SDXL])
def test_with_a_prompt_4_channels_draw_themselves(model):
    choice = choose(model, prompt="a bench")
    assert (choice.method, choice.checkpoint.in_channels) == ("blending", 4)
    assert "a prompt to draw" in choice.reason


def test_4_channels_without_a_sibling_are_blended(folder):
    choice = choose(folder(in_channels=4, cross_attention_dim=768))
    assert (choice.method, choice.checkpoint.in_channels) == ("blending", 4)
    assert "4 input channels and no inpainting checkpoint" in choice.reason


@pytest.mark.parametrize("channels", [3, 5, 8])
def test_any_other_number_of_channels_is_refused(folder, channels):
    with pytest.raises(ValueError, match=f"has {channels} input channels; 4 and 9 can"):
        choose(folder(in_channels=channels))


def test_a_hub_id_that_is_not_here_is_decided_when_it_is_fetched(tmp_path, monkeypatch, no_network):
    choice = choose("no-one/a-model-that-is-nowhere", offline=True)
    assert (choice.method, choice.checkpoint.in_channels) == ("auto", None)
    assert "decided when it is fetched" in choice.reason


# --method given ------------------------------------------------------------------------------------------------------


def test_inpainting_with_4_channels_is_refused_with_what_to_do_instead(folder):
    with pytest.raises(ValueError, match=r"not fine-tuned for inpainting; use --method blending$"):
        choose(folder(in_channels=4), "inpainting")
    with pytest.raises(ValueError, match="use --method blending, or --model bundled, which was made from it"):
        choose("bundled-base", "inpainting")


def test_blending_with_9_channels_is_refused_with_what_to_do_instead(folder):
    with pytest.raises(ValueError, match="9 input channels and sees the hole by itself; use --method inpainting"):
        choose(folder(in_channels=9), "blending")


def test_a_controlnet_of_one_kind_is_not_asked_for_a_checkpoint_of_another():
    with pytest.raises(ValueError, match=r"goes with Stable Diffusion 1\.5, and .* is of another kind"):
        choose(SDXL, "controlnet")
    assert choose(SD15, "controlnet").checkpoint.repo == SD15


@pytest.mark.parametrize("model", ["bundled", "bundled-base", "sdxl"])
def test_attentive_takes_the_very_checkpoint_with_4_or_9_channels(model):
    choice = choose(model, "attentive")
    assert (choice.method, choice.checkpoint.repo) == ("attentive", PRESETS[model].repo)


def test_a_method_that_can_be_done_is_done(folder):
    assert choose("bundled-base", "blending").checkpoint == PRESETS["bundled-base"]
    for method, channels in (("inpainting", 9), ("blending", 4)):
        choice = choose(folder(method, in_channels=channels), method)
        assert (choice.method, choice.reason) == (method, "asked for")


@pytest.mark.parametrize("model", ["sd15", "no such model at all", "no-one/nothing"])
def test_telea_needs_no_model(model, no_network):
    choice = choose(model, "telea", offline=False)
    assert (choice.method, choice.checkpoint.repo) == ("telea", "")


def test_an_unknown_method_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match=f"unknown method 'magic'; there are auto, {', '.join(METHODS)}"):
        choose("sd15", "magic")


# What a model's name may be ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["sd16", "folder/that/is/not/here", "/not/here", "./not-here", "model.ckpt"])
def test_an_unknown_model_is_answered_with_the_presets(model):
    with pytest.raises(ValueError, match=f"unknown model '{model}'; give a preset \\({', '.join(PRESETS)}\\)"):
        choose(model)


@pytest.mark.parametrize("model", [name for name, row in (PRESETS | KNOWN).items() if not row.method])
def test_what_is_known_needs_no_network_even_when_it_may_be_asked(model, no_network):
    choice = choose(model, offline=False)
    without = model.endswith(("style", "turbo"))  # no inpainting checkpoint was made of them
    assert (choice.method, choice.checkpoint.in_channels) == (("blending", 4) if without else ("inpainting", 9))
    assert choice.checkpoint.license


@pytest.mark.parametrize("model", MOVED)
def test_a_withdrawn_id_is_the_living_one_with_a_warning(model, no_network):
    with pytest.warns(UserWarning, match=f"{model} was withdrawn; the same weights are at {MOVED[model]}"):
        moved = look_up(model)
    assert moved.repo == MOVED[model] == look_up(MOVED[model]).repo
    assert moved.repo not in MOVED
    assert not moved.repo.startswith(("runwayml/", "stabilityai/stable-diffusion-2"))


def test_every_known_parent_names_a_preset_of_its_family_that_can_inpaint():
    parents = [row for row in (*PRESETS.values(), *KNOWN.values()) if row.inpainting]
    assert len(parents) >= 4
    for row in parents:
        child = PRESETS[row.inpainting]
        assert (child.in_channels, child.family, child.resolution) == (9, row.family, row.resolution)


@pytest.mark.parametrize("model", ["bundled", "bundled-base"])
def test_what_the_table_says_of_the_bundled_checkpoints_is_what_their_configs_say(model):
    said, read = PRESETS[model], look_up(PRESETS[model].repo + "/")
    assert (read.in_channels, read.family) == (said.in_channels, said.family)


def test_a_revision_is_kept():
    assert choose("sd15", revision="abc").checkpoint.revision == "abc"


# Folders and files ---------------------------------------------------------------------------------------------------


def test_a_folder_is_judged_by_its_config_and_not_by_its_name(folder):
    assert choose(folder("my-inpainting", in_channels=4)).method == "blending"
    assert choose(folder("stable-diffusion-v1-5", in_channels=9)).method == "inpainting"


@pytest.mark.parametrize(
    ("unet", "family"),
    [
        ({"cross_attention_dim": 768}, "sd15"),
        ({"cross_attention_dim": 1024}, "sd2"),
        ({"cross_attention_dim": 2048, "addition_embed_type": "text_time"}, "sdxl"),
        ({"cross_attention_dim": 64, "addition_embed_type": "text_time"}, "sdxl"),  # a small one for tests
        ({"cross_attention_dim": [64, 64]}, None),
        ({}, None),
    ],
)
def test_a_folders_family_is_read_from_its_config(folder, unet, family):
    assert look_up(folder(in_channels=4, **unet)).family == family


def test_whole_checkpoints_in_folders_are_read_as_what_they_are(tiny):
    read = {kind: look_up(str(tiny(kind))) for kind in ("inpainting", "plain", "xl")}
    assert [(c.family, c.in_channels) for c in read.values()] == [("sd15", 9), ("sd15", 4), ("sdxl", 9)]


def test_a_folder_without_a_unet_is_no_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"not a diffusers checkpoint: it has no unet/config\.json"):
        choose(str(tmp_path))


@pytest.mark.parametrize("said", ["[]", "null", "9", '"in_channels"', "{", ""])
def test_a_config_that_holds_no_settings_is_refused_by_its_name(folder, said):
    file = Path(place := folder(in_channels=9), "unet", "config.json")
    file.write_text(said)
    with pytest.raises(ValueError, match=rf"{file} (holds no settings|is not JSON).*fetch the model again"):
        choose(place)


@pytest.mark.parametrize(
    ("shapes", "facts"),
    [
        ({FIRST: (8, 9, 3, 3), ATTENDED: (8, 768)}, ("sd15", 9)),
        ({FIRST: (8, 4, 3, 3), ATTENDED: (8, 768)}, ("sd15", 4)),
        ({FIRST: (8, 9, 3, 3), ATTENDED: (8, 1024)}, ("sd2", 9)),
        ({FIRST: (8, 4, 3, 3), "conditioner.embedders.1.model.ln_final.weight": (8,)}, ("sdxl", 4)),
        ({FIRST: (8, 9, 3, 3), "conditioner.embedders.1.model.ln_final.weight": (8,)}, ("sdxl", 9)),
    ],
)
def test_a_single_file_is_judged_by_the_shapes_in_its_header(file, shapes, facts):
    choice = choose(path := file(**shapes))
    assert choice.checkpoint == Checkpoint(path, *facts)
    assert choice.method == ("inpainting" if facts[1] == 9 else "blending")


def test_a_single_files_name_does_not_matter(file):
    shapes = {FIRST: (8, 4, 3, 3), ATTENDED: (8, 768)}
    assert choose(file("sd-v1-5-inpainting.safetensors", **shapes)).method == "blending"


def test_a_truncated_file_says_so_and_what_to_do(file, tmp_path):
    whole = tmp_path / "whole.safetensors"
    shutil.move(file(**{FIRST: (8, 9, 3, 3)}), whole)
    for kept in (0, 4, 60, whole.stat().st_size - 1):
        (tmp_path / "cut.safetensors").write_bytes(whole.read_bytes()[:kept])
        with pytest.raises(ValueError, match=r"cut\.safetensors is not a whole \.safetensors file .* fetch it again"):
            choose(str(tmp_path / "cut.safetensors"))


def test_a_file_of_something_else_is_refused(file):
    with pytest.raises(ValueError, match="holds no Stable Diffusion UNet"):
        choose(file(**{"lora.down.weight": (4, 4)}))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*gone\.safetensors"):
        choose(str(tmp_path / "gone.safetensors"))


# Licences ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("license", "refused"),
    [
        ("cc-by-nc-4.0", True),
        ("sai-nc-community", True),
        ("flux-1-dev-non-commercial-license", True),
        ("s-lab-license-1.0", True),
        ("openrail++", False),
        ("creativeml-openrail-m", False),
        ("apache-2.0", False),
        (None, False),
    ],
)
def test_a_licence_that_forbids_commercial_use_needs_a_yes(license, refused):
    assert is_noncommercial(license) == refused
    refuse_unaccepted("a checkpoint", license, accepted=True)
    if refused:
        with pytest.raises(ValueError, match=f"a checkpoint has the licence {license}, .* say --accept-license"):
            refuse_unaccepted("a checkpoint", license, accepted=False)


def test_of_what_ships_as_a_preset_nothing_needs_one():
    assert not [name for name, row in PRESETS.items() if is_noncommercial(row.license)]


def test_classic_needs_no_weights_and_removes_by_patches_alone(no_network):
    choice = choose("classic", offline=False)
    assert (choice.method, choice.uses_weights, choice.checkpoint.repo) == ("patchmatch", False, "")
    assert choice.checkpoint.segmenter == "grabcut"
    assert choose("classic", "telea").method == "telea"
    with pytest.raises(ValueError, match="classic removes by patchmatch alone; for --method inpainting give another"):
        choose("classic", "inpainting")
