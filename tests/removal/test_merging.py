"""The missing inpainting checkpoint of a fine-tune, from tiny parents to the removed object."""

from __future__ import annotations

import hashlib
import json
import shutil
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from removal import load_remover
from removal.checkpoints import diffusers_folder, merging
from removal.checkpoints.choice import PRESETS, SD15
from removal.checkpoints.mergeable import refuse
from removal.checkpoints.merging import merge
from removal.weights.cache import cache_folder

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
UNET, SCHEDULER = "unet/config.json", "scheduler/scheduler_config.json"
KINDS = ("sd", "xl")


@pytest.fixture
def family(tiny, tmp_path):
    """A function from a kind to (inpainting, base, fine-tune): copies to do anything with.

    The fine-tune differs from its base in every tensor of the UNet, and in the VAE.
    """

    def made(kind: str = "sd"):
        sources = {"sd": ("inpainting", "plain", "plain"), "xl": ("xl", "plain-xl", "plain-xl")}[kind]
        folders = [tmp_path / name for name in ("inpainting", "base", "fine-tune")]
        for source, folder in zip(sources, folders, strict=True):
            shutil.copytree(tiny(source), folder)
        torch.manual_seed(1)
        for weights in (WEIGHTS, "vae/diffusion_pytorch_model.safetensors"):
            change(folders[2], lambda tensor: tensor + 0.1 * torch.randn_like(tensor), weights)
        return folders

    return made


def unet(folder) -> dict[str, torch.Tensor]:
    return load_file(folder / WEIGHTS)


def change(folder, function, weights: str = WEIGHTS):
    save_file({name: function(tensor) for name, tensor in load_file(folder / weights).items()}, folder / weights)


def configure(folder, config: str, **values):
    (folder / config).write_text(json.dumps(json.loads((folder / config).read_text()) | values))


def widened(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A plain UNet that takes mask and masked image and ignores them: an inpainting child that learned nothing."""
    wider = torch.nn.functional.pad(tensors["conv_in.weight"], (0, 0, 0, 0, 0, 5))
    return tensors | {"conv_in.weight": wider}


# The sum --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_fine_tune_that_learned_nothing_gives_the_inpainting_parent_bit_for_bit(family, tmp_path, kind):
    inpainting, base, _ = family(kind)
    merged, parent = unet(merge(inpainting, base, base, tmp_path / "cache")), unet(inpainting)
    assert merged.keys() == parent.keys()
    for name, tensor in parent.items():
        assert merged[name].numpy().tobytes() == tensor.numpy().tobytes(), name


def test_an_inpainting_parent_that_learned_nothing_gives_the_fine_tune_which_ignores_the_mask(family, tmp_path):
    """Exactly so in half precision, as checkpoints are shared: float32 has the bits to spare."""
    inpainting, base, fine_tune = family()
    for folder in (base, fine_tune):
        change(folder, torch.Tensor.half)
    save_file(widened(unet(base)), inpainting / WEIGHTS)
    merged, expected = unet(merge(inpainting, base, fine_tune, tmp_path / "cache")), widened(unet(fine_tune))
    assert [name for name in expected if not merged[name].equal(expected[name])] == []
    assert not merged["conv_in.weight"][:, 4:].any()


def test_mask_and_masked_image_are_the_inpainting_parents_and_all_else_follows_the_formula(family, tmp_path):
    inpainting, base, fine_tune = family()
    i, b, f = (unet(folder) for folder in (inpainting, base, fine_tune))
    merged = unet(merge(inpainting, base, fine_tune, tmp_path / "cache"))
    for name in i.keys() - {"conv_in.weight"}:
        assert merged[name].equal(i[name] + (f[name] - b[name])), name
        assert not merged[name].equal(i[name]), name
    first = "conv_in.weight"
    assert merged[first].shape[1] == 9
    assert merged[first][:, :4].equal(i[first][:, :4] + (f[first] - b[first]))
    assert merged[first][:, 4:].equal(i[first][:, 4:])


@pytest.mark.parametrize("halved", [(0, 1, 2), (0,), (1, 2)])
def test_half_precision_changes_a_weight_by_less_than_a_thousandth_and_the_inpainting_parent_sets_it(
    family, tmp_path, halved
):
    folders = family()
    exact = unet(merge(*folders, tmp_path / "exact"))
    for number in halved:
        change(folders[number], torch.Tensor.half)
    merged = unet(merge(*folders, tmp_path / "half"))
    for name, tensor in merged.items():
        assert tensor.dtype == (torch.float16 if 0 in halved else torch.float32)
        assert (tensor.float() - exact[name]).abs().max() < 1e-3, name


@pytest.mark.parametrize(
    "index", ["diffusion_pytorch_model.safetensors.index.json", "diffusion_pytorch_model.safetensors.index.fp16.json"]
)
def test_sharded_weights_merge_as_whole_ones(family, tmp_path, index):
    folders = family()
    whole = unet(merge(*folders, tmp_path / "whole"))
    for folder in folders:
        tensors = unet(folder)
        (folder / WEIGHTS).unlink()
        names = [f"part-{number}.safetensors" for number in range(3)]
        places = {name: names[number % 3] for number, name in enumerate(tensors)}
        for shard in names:
            save_file({name: tensors[name] for name in tensors if places[name] == shard}, folder / "unet" / shard)
        (folder / "unet" / index).write_text(json.dumps({"weight_map": places}))
    sharded = merge(*folders, tmp_path / "sharded")
    assert [name for name in whole if not unet(sharded)[name].equal(whole[name])] == []
    assert list((sharded / "unet").glob("*.safetensors")) == [sharded / WEIGHTS]


def test_tensors_are_read_one_by_one(family, tmp_path, monkeypatch):
    alive, most = [], 0

    class Counted:
        def __init__(self, *arguments, **options):
            self.file = safe_open(*arguments, **options)

        def __enter__(self):
            return self.file.__enter__() and self

        def __exit__(self, *error):
            return self.file.__exit__(*error)

        def keys(self):
            return self.file.keys()

        def get_slice(self, name):
            return self.file.get_slice(name)

        def get_tensor(self, name):
            nonlocal most
            tensor = self.file.get_tensor(name)
            alive.append(weakref.ref(tensor))
            most = max(most, sum(reference() is not None for reference in alive))
            return tensor

    monkeypatch.setattr(diffusers_folder, "safe_open", Counted)
    folders = family()
    merge(*folders, tmp_path / "cache")
    assert len(alive) == 3 * len(unet(folders[0]))
    assert most <= 3


# The folder -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_merged_checkpoint_removes_and_changes_only_masked_pixels(family, tmp_path, picture, no_network, kind):
    folder = merge(*family(kind), tmp_path / "cache")
    remove = load_remover(str(folder), device="cpu", offline=True, steps=2)
    image, mask = picture(50, 70), np.zeros((50, 70), bool)
    mask[20:33, 30:41] = True
    result = remove([image], [mask], [7])[0]
    assert remove.choice.method == "inpainting"
    assert (result[~mask] == image[~mask]).all()
    assert (result[mask] != image[mask]).any()


@pytest.mark.parametrize("kind", KINDS)
def test_everything_but_the_unet_is_the_fine_tunes_and_diffusers_loads_it_for_inpainting(family, tmp_path, kind):
    import diffusers

    inpainting, base, fine_tune = family(kind)
    configure(fine_tune, SCHEDULER, timestep_spacing="trailing")  # no sign of a distilled one without Euler
    folder = merge(inpainting, base, fine_tune, tmp_path / "cache")
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    name = "StableDiffusionXLInpaintPipeline" if kind == "xl" else "StableDiffusionInpaintPipeline"
    assert type(pipeline) is getattr(diffusers, name)
    assert getattr(pipeline, "safety_checker", None) is None
    assert pipeline.scheduler.config.timestep_spacing == "trailing"
    assert pipeline.unet.config.in_channels == 9
    for part in fine_tune.iterdir():
        for file in part.iterdir() if part.is_dir() and part.name != "unet" else ():
            assert (folder / part.name / file.name).read_bytes() == file.read_bytes()
    expected = load_file(fine_tune / "vae/diffusion_pytorch_model.safetensors")
    assert all(pipeline.vae.state_dict()[name].equal(tensor) for name, tensor in expected.items())


def test_parents_with_half_precision_files_alone_give_a_folder_that_loads_without_saying_so(family, tmp_path):
    folders = family()
    for folder in folders:
        for file in folder.rglob("*.safetensors"):
            file.rename(file.with_name(f"{file.stem}.fp16.safetensors"))
    merged = merge(*folders, tmp_path / "cache")
    assert load_remover(str(merged), device="cpu", offline=True, steps=2).choice.method == "inpainting"
    assert not list(merged.rglob("*fp16*"))


def test_whoever_may_read_one_file_may_read_all(family, tmp_path):
    folder = merge(*family(), tmp_path / "cache")
    assert len({file.stat().st_mode for file in folder.rglob("*") if file.is_file()}) == 1


def test_a_second_merge_computes_nothing(family, tmp_path, monkeypatch):
    folders = family()
    folder = merge(*folders, tmp_path / "cache")
    times = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    monkeypatch.setattr(merging, "_save_unet", lambda *_: pytest.fail("it was computed again"))
    assert merge(*folders, tmp_path / "cache") == folder
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == times


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("weights", [WEIGHTS, "vae/diffusion_pytorch_model.safetensors"])
def test_other_weights_give_another_folder(family, tmp_path, number, weights):
    folders = family()
    folder = merge(*folders, tmp_path / "cache")
    change(folders[number], lambda tensor: tensor * 1.5, weights)
    enters = weights == WEIGHTS or number == 2  # nothing is taken from the VAE of base and inpainting parent
    assert (merge(*folders, tmp_path / "cache") != folder) == enters


def test_a_merge_that_breaks_off_leaves_nothing_and_the_next_succeeds(family, tmp_path, monkeypatch):
    folders = family()

    def full(tensors, file, metadata):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("safetensors.torch.save_file", full)
        with pytest.raises(OSError, match="No space left"):
            merge(*folders, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    assert unet(merge(*folders, tmp_path / "cache"))["conv_in.weight"].shape[1] == 9


def test_of_two_merges_at_once_both_end_with_the_first_ones_folder(family, tmp_path, monkeypatch):
    folders, cache = family(), tmp_path / "cache"
    save, first = merging._save_unet, []

    def overtaken(*arguments):
        monkeypatch.setattr(merging, "_save_unet", save)
        first.append(merge(*folders, cache))
        (first[0] / "mark").touch()
        save(*arguments)

    monkeypatch.setattr(merging, "_save_unet", overtaken)
    assert merge(*folders, cache) == first[0]
    assert (first[0] / "mark").exists()
    assert list(cache.iterdir()) == first


def test_a_folder_says_what_it_was_made_of(family, tmp_path):
    folders = family()
    (folders[2] / "README.md").write_text("---\ntags:\n- art\nlicense: cc0-1.0\n---\nlicense: none\n")
    told = json.loads((merge(*folders, tmp_path / "cache") / "provenance.json").read_text())
    assert "inpainting + (fine_tune - base)" in told["formula"]
    for role, folder in zip(("inpainting", "base", "fine_tune"), folders, strict=True):
        row = told["parents"][role]
        assert (row["name"], row["folder"]) == (str(folder), str(folder))
        assert list(row["unet"].values()) == [hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()]
    assert [row["license"] for row in told["parents"].values()] == [None, None, "cc0-1.0"]


def test_a_parent_from_the_hub_is_called_by_its_id_with_its_licence_and_hashed_by_the_name_of_its_blob(
    family, tmp_path
):
    inpainting, base, fine_tune = family()
    repo = tmp_path / f"models--{SD15.replace('/', '--')}"
    snapshot = shutil.copytree(base, repo / "snapshots" / "0123abc")
    blob = repo / "blobs" / ("0" * 64)
    blob.parent.mkdir()
    shutil.move(snapshot / WEIGHTS, blob)
    (snapshot / WEIGHTS).symlink_to(blob)
    told = json.loads((merge(inpainting, snapshot, fine_tune, tmp_path / "cache") / "provenance.json").read_text())
    row = told["parents"]["base"]
    assert (row["name"], row["license"]) == (SD15, "creativeml-openrail-m")
    assert list(row["unet"].values()) == [blob.name]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"CLEANPLATE_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a/merged"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/cleanplate/merged"),
        ({"HOME": "/c"}, "/c/.cache/cleanplate/merged"),
    ],
)
def test_the_cache_is_where_the_environment_says(monkeypatch, variables, expected):
    for name in ("CLEANPLATE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder("merged").as_posix() == expected


# Refusals -------------------------------------------------------------------------------------------------------------

EULER = {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"}
INPAINTING, BASE, FINE_TUNE = range(3)
REFUSED = {  # which parent, which config, what it says, and the words of the refusal
    "plain for inpainting": (INPAINTING, UNET, {"in_channels": 4}, "has 4 input channels where 9 are needed"),
    "inpainting for base": (BASE, UNET, {"in_channels": 9}, "has 9 input channels where 4 are needed"),
    "pix2pix": (FINE_TUNE, UNET, {"in_channels": 8}, "has 8 input channels where 4 are needed"),
    "wider": (FINE_TUNE, UNET, {"block_out_channels": [8, 32]}, r"block_out_channels: \[8, 32\] and \[8, 16\]"),
    "text": (FINE_TUNE, UNET, {"cross_attention_dim": 24}, r"built differently \(cross_attention_dim: \[24\] and"),
    "heads": (FINE_TUNE, UNET, {"attention_head_dim": [2, 4]}, "attention_head_dim"),
    "down": (FINE_TUNE, UNET, {"down_block_types": ["DownBlock2D"]}, "down_block_types"),
    "up": (BASE, UNET, {"up_block_types": ["UpBlock2D"]}, "up_block_types"),
    "deeper": (INPAINTING, UNET, {"layers_per_block": 2}, "layers_per_block"),
    "xl": (FINE_TUNE, UNET, {"addition_embed_type": "text_time"}, "addition_embed_type"),
    "v of epsilon": (
        FINE_TUNE,
        SCHEDULER,
        {"prediction_type": "v_prediction"},
        r"predict different things \(prediction_type: v_prediction and epsilon\)",
    ),
    "epsilon of v": (INPAINTING, SCHEDULER, {"prediction_type": "v_prediction"}, "prediction_type: epsilon and v_pred"),
    "zero snr": (FINE_TUNE, SCHEDULER, {"rescale_betas_zero_snr": True}, "rescale_betas_zero_snr: True and False"),
    "lcm": (FINE_TUNE, UNET, {"time_cond_proj_dim": 256}, "distilled to few steps .*time_cond_proj_dim"),
    "lcm scheduler": (FINE_TUNE, SCHEDULER, {"_class_name": "LCMScheduler"}, "distilled .*LCMScheduler"),
    "tcd": (FINE_TUNE, SCHEDULER, {"_class_name": "TCDScheduler"}, "distilled .*TCDScheduler"),
    "lightning": (FINE_TUNE, SCHEDULER, EULER, "distilled .*EulerDiscreteScheduler with timestep_spacing trailing"),
    "turbo": (
        FINE_TUNE,
        SCHEDULER,
        EULER | {"_class_name": "EulerAncestralDiscreteScheduler"},
        "distilled .*Ancestral",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_merged_is_refused_with_the_reason_and_nothing_is_written(family, tmp_path, case):
    parent, config, values, words = REFUSED[case]
    folders = family()
    configure(folders[parent], config, **values)
    with pytest.raises(ValueError, match=words) as refusal:
        merge(*folders, tmp_path / "cache")
    assert str(refusal.value) == refuse(*folders)
    assert str(folders[parent]) in str(refusal.value)
    assert "needed (9 for" in str(refusal.value) or "use --method blending" in str(refusal.value)
    assert not (tmp_path / "cache").exists()


def test_configs_alone_are_enough_to_refuse_or_not(family, tmp_path):
    folders = family()
    for folder in folders:
        for file in folder.rglob("*"):
            if file.is_file() and str(file.relative_to(folder)) not in (UNET, SCHEDULER):
                file.unlink()
    assert refuse(*folders) is None
    configure(folders[FINE_TUNE], UNET, layers_per_block=2)
    assert "layers_per_block" in refuse(*folders)


def test_a_config_that_leaves_out_what_is_usual_or_says_it_for_every_block_is_the_same_architecture(family):
    """As the configs of 2022 do, beside those that diffusers writes today."""
    folders = family()
    config = json.loads((folders[BASE] / UNET).read_text())
    for name in ("addition_embed_type", "conv_in_kernel", "use_linear_projection", "time_cond_proj_dim"):
        del config[name]
    changed = {"attention_head_dim": [4, 4], "layers_per_block": [1, 1], "sample_size": 96, "upcast_attention": None}
    (folders[BASE] / UNET).write_text(json.dumps(config | changed))
    assert refuse(*folders) is None


@pytest.mark.parametrize("said", [{"prediction_type": "v_prediction"}, {"rescale_betas_zero_snr": True}])
def test_a_whole_family_trained_in_another_way_is_merged(family, said):
    folders = family()
    for folder in folders:
        configure(folder, SCHEDULER, **said)
    assert refuse(*folders) is None


def test_the_bundled_checkpoints_are_merged(tmp_path):
    bundled, base = (Path(PRESETS[name].repo) for name in ("bundled", "bundled-base"))
    merged = merge(bundled, base, base, tmp_path / "cache")
    assert all(tensor.equal(unet(bundled)[name]) for name, tensor in unet(merged).items())
    told = json.loads((merged / "provenance.json").read_text())
    assert told["parents"]["inpainting"]["license"] == PRESETS["bundled"].license


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (
            lambda tensors: tensors | {"more.weight": torch.zeros(2)},
            r"same tensors \(more.weight: \(2,\) and missing\)",
        ),
        (lambda tensors: tensors | {"conv_out.bias": torch.zeros(5)}, r"conv_out.bias: \(5,\) and \(4,\)"),
        (widened, "has 9 input channels where 4 are needed"),
    ],
)
def test_weights_that_belie_their_config_are_refused(family, other, words):
    folders = family()
    save_file(other(unet(folders[FINE_TUNE])), folders[FINE_TUNE] / WEIGHTS)
    with pytest.raises(ValueError, match=words):
        merge(*folders, folders[0].parent / "cache")


def test_a_damaged_file_and_one_that_could_run_code_are_refused(family):
    folders = family()
    file = folders[BASE] / WEIGHTS
    file.write_bytes(file.read_bytes()[:-100])
    assert "is not a whole .safetensors file" in refuse(*folders)
    file.rename(file.with_suffix(".bin"))
    assert "as .bin, which can run code when read; save it again as .safetensors" in refuse(*folders)


@pytest.mark.parametrize("missing", [UNET, SCHEDULER, "model_index.json", "tokenizer", "vae"])
def test_a_fine_tune_that_lacks_a_part_says_which(family, tmp_path, missing):
    folders = family()
    (folders[FINE_TUNE] / missing).rename(tmp_path / "away")
    with pytest.raises(ValueError, match=f"fine-tune has no {missing}; give a whole diffusers folder"):
        merge(*folders, tmp_path / "cache")


def test_a_text_encoder_that_could_run_code_is_refused(family, tmp_path):
    folders = family()
    file = folders[FINE_TUNE] / "text_encoder" / "model.safetensors"
    file.rename(file.with_name("pytorch_model.bin"))
    with pytest.raises(ValueError, match=r"has no text_encoder as \.safetensors"):
        merge(*folders, tmp_path / "cache")


def test_weights_that_are_not_there_are_an_os_error_that_says_whose(family, tmp_path):
    folders = family()
    (folders[BASE] / WEIGHTS).unlink()
    with pytest.raises(FileNotFoundError, match=f"{folders[BASE]} has not all of its UNet's weights"):
        merge(*folders, tmp_path / "cache")
