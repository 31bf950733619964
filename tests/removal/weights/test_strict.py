"""Every network of a checkpoint is loaded whole: a tensor too few or too many is refused with its name."""

from __future__ import annotations

import shutil

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, ControlNetModel, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from removal import load_remover
from removal.checkpoints.known import look_up
from removal.checkpoints.vae import autoencoder
from removal.methods import controlnet
from removal.options import Options
from removal.painting import pipelines

OPTIONS = Options(offline=True, device="cpu", steps=1, prompt="so that text encoders are loaded")
FAULTS = {
    "lack": lambda state, name: state.pop(name),
    "hold besides": lambda state, name: state.update({f"{name}_of_another": torch.ones(2)}),
    "have in another size": lambda state, name: state.update({name: torch.ones(2, 3)}),
}
PARTS = [(kind, part) for kind in ("inpainting", "sd2", "plain") for part in ("unet", "vae", "text_encoder")]
PARTS += [("xl", part) for part in ("unet", "vae", "text_encoder", "text_encoder_2")]


def spoil(folder, fault: str) -> str:
    """Spoil a tensor in the only weights below a folder, and give its name."""
    (file,) = folder.glob("*.safetensors")
    state = load_file(file)
    name = sorted(state)[len(state) // 2]
    FAULTS[fault](state, name)
    save_file(state, file, {"format": "pt"})
    return name


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("kind", "part"), PARTS)
def test_a_checkpoints_folder_is_refused(tiny, tmp_path, kind, part, fault):
    folder = shutil.copytree(tiny(kind), tmp_path / "own")
    name = spoil(folder / part, fault)
    with pytest.raises(ValueError, match=rf"{part} of \S*own holds the weights of another .* they {fault} \S*{name}"):
        load_remover(str(folder), device="cpu", offline=True, steps=1, prompt="so that text encoders are loaded")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_controlnet_is_refused(tiny, tmp_path, fault):
    unet = UNet2DConditionModel.from_pretrained(tiny("plain"), subfolder="unet")
    ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 4, 8)).save_pretrained(tmp_path)
    name = spoil(tmp_path, fault)
    with pytest.raises(ValueError, match=rf"another network than ControlNetModel: they {fault} {name}"):
        controlnet.load(look_up(str(tiny("plain"))), OPTIONS, str(tmp_path))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", [AutoencoderKL, AutoencoderTiny])
def test_an_autoencoder_is_refused(tmp_path, kind, fault):
    kind().save_pretrained(tmp_path)
    name = spoil(tmp_path, fault)
    with pytest.raises(ValueError, match=rf"another network than {kind.__name__}: they {fault} {name}"):
        autoencoder(str(tmp_path), None, torch.float32)


def test_a_whole_folder_is_loaded_as_the_library_loads_it(tiny):
    """Every tensor, for folders whose networks are now loaded one by one."""
    from diffusers import StableDiffusionXLInpaintPipeline

    folder = tiny("xl")
    ours = pipelines.pipeline_of(look_up(str(folder)), folder, folder, torch.bfloat16)
    dtypes = {"vae": torch.float32, "default": torch.bfloat16}
    theirs = StableDiffusionXLInpaintPipeline.from_pretrained(folder, dtype=dtypes, add_watermarker=False)
    for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
        expected, found = getattr(theirs, part).state_dict(), getattr(ours, part).state_dict()
        assert expected.keys() == found.keys()
        assert all(expected[name].equal(found[name]) and expected[name].dtype == found[name].dtype for name in expected)


def test_an_autoencoder_with_the_attention_names_of_earlier_releases_is_whole(tiny, tmp_path):
    """As Stable Diffusion 1.5 was published: the library itself renames them."""
    folder = shutil.copytree(tiny("plain") / "vae", tmp_path / "vae")
    (file,) = folder.glob("*.safetensors")
    older = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    state = {}
    for name, tensor in load_file(file).items():
        for new, old in older.items():
            name = name.replace(new, old)
        state[name] = tensor
    assert any(".query." in name for name in state)
    save_file(state, file, {"format": "pt"})
    autoencoder(str(folder), None, torch.float32)
