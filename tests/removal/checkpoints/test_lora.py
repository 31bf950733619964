"""LoRAs are added to the weights once, from the files that people have."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from removal import load_remover
from removal.checkpoints.known import look_up
from removal.checkpoints.lora import is_lcm, parse_lora
from removal.options import Options
from removal.painting import pipelines
from removal.painting.painter import Painter

ON_CPU = {"offline": True, "device": "cpu", "steps": 2}
RANK, ALPHA = 2, 1.0
ATTENTION = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
OUT = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_out.0"
CONV = "down_blocks.0.resnets.0.conv1"
TEXT = "encoder.layers.0.self_attn.v_proj"


@pytest.fixture
def weights(tiny):
    """A function from a kind to its networks' weights, as they are without any LoRA."""

    def of(kind: str, part: str) -> dict[str, torch.Tensor]:
        pipeline = pipelines.pipeline_of(look_up(str(tiny(kind))), tiny(kind), tiny(kind), torch.float32)
        return getattr(pipeline, part).state_dict()

    return of


@pytest.fixture
def lora(weights, tmp_path):
    """A function that writes a LoRA in one of the formats, and gives its path and what it should add to the UNet."""

    def write(style: str, kind: str = "plain", name: str = "style.safetensors", places=(ATTENTION, OUT, CONV)):
        torch.manual_seed(3)
        tensors, added = {}, {}
        for place in places:
            weight = weights(kind, "unet")[f"{place}.weight"]
            down = torch.randn(RANK, *weight.shape[1:])
            up = torch.randn(weight.shape[0], RANK, *([1, 1] if weight.dim() == 4 else []))
            scale = ALPHA / RANK if style == "kohya" else 1.0
            added[place] = scale * torch.einsum("or,r...->o...", up.flatten(1), down)
            tensors |= NAMED[style](place, down, up)
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        save_file({key: value.contiguous() for key, value in tensors.items()}, file)
        return str(file), added

    return write


def kohya(place: str, down: torch.Tensor, up: torch.Tensor, part: str = "unet") -> dict[str, torch.Tensor]:
    """As training scripts of AUTOMATIC1111's world write them, and the LCM LoRAs."""
    head = f"lora_{part}_{place.replace('.', '_')}"
    return {f"{head}.lora_down.weight": down, f"{head}.lora_up.weight": up, f"{head}.alpha": torch.tensor(ALPHA)}


def peft(place: str, down: torch.Tensor, up: torch.Tensor) -> dict[str, torch.Tensor]:
    """As diffusers' own training scripts write them."""
    return {f"unet.{place}.lora_A.weight": down, f"unet.{place}.lora_B.weight": up}


NAMED = {"kohya": kohya, "peft": peft}


def load(folder, *loras: str, **options) -> Painter:
    checkpoint = look_up(str(folder))
    return pipelines.load(checkpoint, Options(**ON_CPU | options, lora=loras), checkpoint.in_channels)


def difference(painter: Painter, before: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """By module the change of its weights, where there is any."""
    after = painter.pipeline.unet.state_dict()
    changed = {name: after[name] - before[name] for name in before if not after[name].equal(before[name])}
    return {name.removesuffix(".weight"): change for name, change in changed.items()}


@pytest.mark.parametrize("kind", ["plain", "inpainting", "xl"])
@pytest.mark.parametrize("style", NAMED)
def test_exactly_what_the_file_says_is_added_to_exactly_those_weights(tiny, weights, lora, style, kind):
    file, added = lora(style, kind)
    found = difference(load(tiny(kind), file), weights(kind, "unet"))
    assert found.keys() == added.keys()
    for place, change in added.items():
        assert (found[place] - change).abs().max() < 1e-5


def test_a_weight_scales_it_and_several_add_up(tiny, weights, lora):
    file, added = lora("peft")
    other, more = lora("kohya", name="other.safetensors", places=(ATTENTION,))
    found = difference(load(tiny("plain"), f"{file}:0.5", f"{other}:-2"), weights("plain", "unet"))
    assert (found[OUT] - 0.5 * added[OUT]).abs().max() < 1e-5
    assert (found[ATTENTION] - 0.5 * added[ATTENTION] + 2 * more[ATTENTION]).abs().max() < 1e-5


def test_in_half_precision_the_sum_is_rounded_once(tiny, weights, lora):
    file, added = lora("peft", places=(ATTENTION,))
    before = weights("plain", "unet")[f"{ATTENTION}.weight"].bfloat16()
    after = load(tiny("plain"), file, dtype="bfloat16").pipeline.unet.state_dict()[f"{ATTENTION}.weight"]
    assert after.equal((before.float() + added[ATTENTION]).bfloat16())


def test_a_lora_for_4_channels_leaves_the_mask_of_an_inpainting_checkpoint_alone(tiny, weights, lora):
    file, added = lora("peft", "plain", places=("conv_in",))
    change = difference(load(tiny("inpainting"), file), weights("inpainting", "unet"))["conv_in"]
    assert (change[:, :4] - added["conv_in"]).abs().max() < 1e-5
    assert not change[:, 4:].any()


def test_a_text_encoders_lora_changes_what_it_says_and_never_what_is_kept_without_it(tiny, weights, tmp_path):
    value = weights("plain", "text_encoder")[f"{TEXT}.weight"]
    down, up = torch.randn(RANK, value.shape[1]), torch.randn(value.shape[0], RANK)
    save_file(kohya(f"text_model.{TEXT}", down, up, "te"), tmp_path / "text.safetensors")
    plain, other, again = (
        load(tiny("plain"), *loras).prompt_embeddings["prompt_embeds"]
        for loras in ([], [str(tmp_path / "text.safetensors")], [str(tmp_path / "text.safetensors")])
    )
    assert not other.equal(plain)
    assert again.equal(other)  # the second time without a text encoder to add to
    assert load(tiny("plain")).prompt_embeddings["prompt_embeds"].equal(plain)


def test_only_masked_pixels_change_and_not_as_without_it(tiny, lora, picture):
    image, mask = picture(40, 50), np.zeros((40, 50), bool)
    mask[10:20, 12:30] = True
    file, _ = lora("kohya")
    plain = load_remover(str(tiny("plain")), **ON_CPU)([image], [mask], [1])[0]
    styled = load_remover(str(tiny("plain")), lora=(file,), **ON_CPU)([image], [mask], [1])[0]
    assert (styled[~mask] == image[~mask]).all()
    assert (styled[mask] != plain[mask]).any()


# Where it is ---------------------------------------------------------------------------------------------------------


def test_a_folder_with_one_lora_or_with_the_usual_name_will_do(tiny, weights, lora):
    file, added = lora("peft", name="folder/some.safetensors")
    folder = file.rsplit("/", 1)[0]
    assert difference(load(tiny("plain"), folder), weights("plain", "unet")).keys() == added.keys()
    lora("peft", name="folder/pytorch_lora_weights.safetensors", places=(CONV,))
    assert difference(load(tiny("plain"), folder), weights("plain", "unet")).keys() == {CONV}


def test_of_several_files_one_must_be_named(tiny, lora):
    file, _ = lora("peft", name="folder/a.safetensors")
    lora("peft", name="folder/b.safetensors")
    with pytest.raises(ValueError, match=r"2 files that may be meant; name one: .*/a\.safetensors"):
        load(tiny("plain"), file.rsplit("/", 1)[0])


@pytest.mark.parametrize("place", ["./none.safetensors", "/none.safetensors", "none"])
def test_a_lora_that_is_not_there_is_named(tiny, place):
    with pytest.raises(ValueError, match=f"there is no LoRA at {place}"):
        load(tiny("plain"), place)


@pytest.mark.parametrize(
    ("asked", "parsed"),
    [("a/b", ("a/b", 1.0)), ("a/b:0.8", ("a/b", 0.8)), ("x.safetensors:-1", ("x.safetensors", -1.0))],
)
def test_a_weight_stands_after_a_colon(asked, parsed):
    assert parse_lora(asked) == parsed


# What does not fit ---------------------------------------------------------------------------------------------------


def test_a_lora_of_another_family_is_refused(tiny, lora):
    file, _ = lora("peft", "xl", places=("down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k",))
    with pytest.raises(ValueError, match="of another family"):
        load(tiny("plain"), file)


def test_a_lora_of_layers_that_are_not_there_is_refused(tiny, tmp_path):
    save_file(peft("down_blocks.9.conv", torch.ones(1, 2), torch.ones(2, 1)), tmp_path / "far.safetensors")
    with pytest.raises(ValueError, match=r"no unet\.down_blocks\.9\.conv to add it to"):
        load(tiny("plain"), str(tmp_path / "far.safetensors"))


def test_what_is_more_than_a_lora_is_refused_rather_than_added_in_part(tiny, tmp_path):
    tensors = peft(ATTENTION, torch.ones(1, 16), torch.ones(16, 1))
    tensors[f"unet.{ATTENTION}.lora_magnitude_vector"] = torch.ones(16)
    save_file(tensors, tmp_path / "dora.safetensors")
    with pytest.raises(ValueError, match=r"is not a plain LoRA: it has .*magnitude"):
        load(tiny("plain"), str(tmp_path / "dora.safetensors"))


@pytest.mark.parametrize("half", ["up", "down"])
@pytest.mark.parametrize("style", NAMED)
def test_a_lora_that_lacks_half_of_a_layer_is_refused_with_its_name(tiny, lora, tmp_path, style, half):
    file, _ = lora(style)
    end = {"kohya": f"lora_{half}.weight", "peft": f"lora_{'A' if half == 'down' else 'B'}.weight"}[style]
    tensors = load_file(file)
    lost = next(name for name in tensors if name.endswith(end))
    save_file({name: tensor for name, tensor in tensors.items() if name != lost}, tmp_path / "half.safetensors")
    with pytest.raises(ValueError, match=r"half\.safetensors .*(attn1|attn2|conv1)") as refused:
        load(tiny("plain"), str(tmp_path / "half.safetensors"))
    assert "None" not in str(refused.value)


@pytest.mark.parametrize("style", NAMED)
def test_a_lora_with_a_tensor_of_something_else_is_refused_with_its_name(tiny, lora, tmp_path, style):
    name = {"kohya": "lora_unet_of_another.weight", "peft": "unet.of_another.weight"}[style]
    tensors = load_file(lora(style)[0]) | {name: torch.ones(2)}
    save_file(tensors, tmp_path / "more.safetensors")
    with pytest.raises(ValueError, match=r"more\.safetensors.*of_another"):
        load(tiny("plain"), str(tmp_path / "more.safetensors"))


def test_any_other_file_is_refused(tiny, tmp_path):
    save_file({"weight": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"other\.safetensors"):
        load(tiny("plain"), str(tmp_path / "other.safetensors"))
    (tmp_path / "cut.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"cut\.safetensors cannot be read as a LoRA"):
        load(tiny("plain"), str(tmp_path / "cut.safetensors"))


# A few steps ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("steps", "taken"), [(20, 8), (8, 8), (4, 4)])
def test_with_an_lcm_lora_the_scheduler_is_lcm_and_the_steps_are_few(tiny, lora, steps, taken):
    file, _ = lora("kohya", "inpainting", name="lcm-lora-sdv1-5.safetensors")
    painter = load(tiny("inpainting"), file, steps=steps, prompt="a meadow")
    assert type(painter.pipeline.scheduler).__name__ == "LCMInFloat32"
    assert (painter.steps, painter.guidance) == (taken, 1.0)


def test_its_noise_of_every_step_comes_from_the_pictures_own_seed(tiny, lora, picture):
    """LCM draws noise at each step: a picture is the same alone and in a batch."""
    file, _ = lora("kohya", "inpainting", name="lcm.safetensors")
    remove = load_remover(str(tiny("inpainting")), lora=(file,), **ON_CPU | {"steps": 4})
    images, mask = [picture(32, 32), picture(33, 32)[1:]], np.zeros((32, 32), bool)
    mask[8:20, 8:20] = True
    together = remove.paint
    assert together.steps == 4
    both = remove(images, [mask] * 2, [4, 5])
    alone = remove(images[1:], [mask], [5])
    assert np.abs(both[1].astype(int) - alone[0]).max() <= 1
    assert (remove(images[1:], [mask], [6])[0] != alone[0]).any()


@pytest.mark.parametrize(
    ("asked", "lcm"),
    [
        ("latent-consistency/lcm-lora-sdv1-5", True),
        ("latent-consistency/lcm-lora-sdxl:0.9", True),
        ("/loras/LCM_sd15.safetensors", True),
        ("someone/film-grain", False),
        ("someone/elcmar", False),
    ],
)
def test_an_lcm_lora_is_known_by_its_name(asked, lcm):
    assert is_lcm(asked) == lcm
