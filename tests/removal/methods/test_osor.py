"""Removal by OSOR, with tiny networks of the real classes in the layout of the published ones."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from removal import choose, load_remover
from removal.checkpoints import osor
from removal.checkpoints.fetch import weights_file
from removal.checkpoints.presets import PRESETS, Checkpoint
from removal.crops.crop import Crop
from removal.methods import osor as method
from removal.options import Options
from removal.removers import with_effects
from tests.stand_in_hub import ask_it, commit, serving

OFFLINE = {"offline": True, "device": "cpu"}
LAST = ("weight", "bias")
ADAPTED = (
    *("to_k", "to_q", "to_v", "to_out.0", "conv", "conv1", "conv2", "conv_shortcut", "proj_in", "proj_out"),
    *("ff.net.2", "ff.net.0.proj"),
)  # what peft is told to adapt: layers of these names, or that end in one of them


def crops(count: int) -> list[Crop]:
    random = np.random.default_rng(5)
    images = random.integers(0, 256, (count, 32, 32, 3), np.uint8)
    masks = np.zeros((count, 32, 32), bool)
    for k in range(count):
        masks[k, 6 + k : 15, 9 : 18 + 2 * k] = True  # not whole latent cells
    return [Crop(image, mask, 0, 0, 32) for image, mask in zip(images, masks, strict=True)]


def by_the_formula(folder, crop: Crop, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """One picture, step by step as the paper has it, its networks loaded here: (picture, how much was taken)."""
    load = {"torch_dtype": torch.float32, "local_files_only": True}
    vae = AutoencoderKL.from_pretrained(folder / "vae", **load)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", **load)
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    ids = tokenizer("Remove the instance of object", padding="max_length", return_tensors="pt").input_ids
    first = CLIPTextModel.from_pretrained(folder / "text_encoder")(ids, output_hidden_states=True)
    second = CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder_2")(ids, output_hidden_states=True)
    prompt = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
    scheduler = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False)

    draw = torch.Generator().manual_seed(seed)
    picture = torch.from_numpy(crop.image).permute(2, 0, 1)[None].float() / 127.5 - 1
    z = vae.encode(picture).latent_dist.sample(draw) * vae.config.scaling_factor
    noise = torch.randn(z.shape, generator=draw)
    when = torch.tensor([400])
    z_t = scheduler.add_noise(z, noise, when)
    m = torch.zeros(1, 1, 8, 8)
    for row in range(8):
        for column in range(8):
            m[0, 0, row, column] = float(crop.mask[4 * row : 4 * row + 4, 4 * column : 4 * column + 4].any())
    size = torch.tensor([[32.0, 32.0, 0.0, 0.0, 32.0, 32.0]])
    said = unet(
        torch.cat([z_t, m, z], dim=1), when, encoder_hidden_states=prompt,
        added_cond_kwargs={"text_embeds": second.text_embeds, "time_ids": size},
    ).sample  # fmt: skip
    x_0 = scheduler.step(said[:, :4], 400, z_t).pred_original_sample
    a = torch.sigmoid(said[:, 4:])
    out = vae.decode((x_0 * a + z * (1 - a)) / vae.config.scaling_factor).sample
    seen = ((out[0] / 2 + 0.5).clamp(0, 1) * 255).permute(1, 2, 0)
    return seen.detach().numpy(), a[0, 0].detach().numpy()


@pytest.fixture
def paint(tiny):
    return load_remover(str(tiny("osor")), **OFFLINE).paint


@torch.no_grad()
def say_everywhere(paint, logit: float) -> None:
    """Have the fifth channel be the same in every place."""
    last = paint.pipeline.unet.conv_out
    last.weight[4] = 0
    last.bias[4] = logit


def test_a_patch_is_the_formulas_alone_and_in_a_batch(tiny, paint):
    some, seeds = crops(3), [11, 12, 13]
    together = paint(some, seeds)
    for crop, seed, patch in zip(some, seeds, together, strict=True):
        wanted, taken = by_the_formula(tiny("osor"), crop, seed)
        for one in (patch, paint([crop], [seed])[0]):
            assert np.abs(one[..., :3] - wanted).max() <= 1
            assert ((one[..., 3] > 0) == method.changed(taken, 32)).all()
    assert (paint.steps, paint.strength, paint.resolution) == (1, None, 32)


def test_another_seed_is_another_patch(paint):
    (crop,) = crops(1)
    assert (paint([crop], [1])[0] != paint([crop], [2])[0]).any()


def test_what_was_changed_is_every_sure_place_with_all_that_fades_around_it():
    taken = np.full((8, 8), 0.02, np.float32)
    taken[1, 1:4] = 0.9
    taken[2, 1:4] = 0.3  # fades
    taken[6, 6] = 0.3  # sure of nothing
    region = method.changed(taken, 32)
    assert region[4:8, 4:16].all()
    assert region[9:11, 5:15].all()
    assert not region[20:].any()
    assert not method.changed(np.zeros((8, 8), np.float32), 32).any()


# In pictures ----------------------------------------------------------------------------------------------------------


def scene() -> tuple[np.ndarray, np.ndarray]:
    image = np.random.default_rng(0).integers(0, 256, (48, 80, 3), np.uint8)
    mask = np.zeros((48, 80), bool)
    mask[20:28, 10:18] = True
    return image, mask


@pytest.fixture
def remover(tiny, monkeypatch):
    own = load_remover(str(tiny("osor")), **OFFLINE)
    last = own.paint.pipeline.unet.conv_out
    before = {name: getattr(last, name).detach().clone() for name in LAST}
    yield own
    last.load_state_dict(before)  # it is loaded once a process


def test_what_changes_beyond_a_mask_is_in_the_mask_that_comes_back_and_nothing_else_changes(remover):
    say_everywhere(remover.paint, 20)
    image, mask = scene()
    ((result, changed),) = remover.with_effects([image], [mask], [3])
    assert changed[mask].all()
    assert changed.sum() == 32 * 32  # all of the crop
    assert (result[~changed] == image[~changed]).all()
    assert (result[changed & ~mask] != image[changed & ~mask]).any()


def test_what_is_to_be_avoided_is_neither_changed_nor_in_that_mask(remover):
    say_everywhere(remover.paint, 20)
    image, mask = scene()
    avoid = np.zeros_like(mask)
    avoid[:, 18:30] = True
    ((result, changed),) = remover.with_effects([image], [mask], [3], [avoid])
    assert not (changed & avoid).any()
    assert (result[avoid] == image[avoid]).all()
    assert (changed & ~mask).any()


def test_where_the_model_sees_no_shadow_the_mask_is_the_very_one_that_was_given(remover):
    say_everywhere(remover.paint, -20)
    image, mask = scene()
    ((result, changed),) = remover.with_effects([image], [mask], [3])
    assert changed is mask
    assert (result[~mask] == image[~mask]).all()


def test_a_removers_own_call_changes_the_masked_pixels_alone(remover):
    say_everywhere(remover.paint, 20)
    image, mask = scene()
    (result,) = remover([image], [mask], [3])
    assert (result[~mask] == image[~mask]).all()
    assert (result[mask] != image[mask]).any()
    *_, last = remover.process(image, mask, 3)
    assert (last == result).all()


def test_pictures_with_several_objects_are_the_same_alone_and_together(remover):
    image, mask = scene()
    mask[2:8, 64:74] = True  # a crop of its own
    rows = [(image, mask), (image[::-1].copy(), mask[::-1].copy()), (image, np.zeros_like(mask))]
    together = remover.with_effects([image for image, _ in rows], [mask for _, mask in rows], [1, 2, 3])
    for k, ((image, mask), (result, changed)) in enumerate(zip(rows, together, strict=True)):
        ((own, own_changed),) = remover.with_effects([image], [mask], [k + 1])
        assert np.abs(own.astype(int) - result).max() <= 1
        assert (own_changed == changed).mean() > 0.999
        assert (result[~changed] == image[~changed]).all()
    assert not together[2][1].any()


def test_other_methods_give_back_the_masks_that_they_were_given(tiny):
    image, mask = scene()
    for one in (load_remover(str(tiny("xl")), steps=2, **OFFLINE), load_remover("classic")):
        ((result, changed),) = with_effects(one, [image], [mask], [1])
        assert changed is mask
        assert (result == one([image], [mask], [1])[0]).all()


# Weights --------------------------------------------------------------------------------------------------------------


def learnt(unet: UNet2DConditionModel, rank: int = 3, outputs: int = 5) -> dict[str, torch.Tensor]:
    """Weights as peft and the authors' training name them, drawn at random."""
    torch.manual_seed(7)
    state = {}
    for name, layer in unet.named_modules():
        if any(name == one or name.endswith(f".{one}") for one in ADAPTED):
            size = tuple(layer.weight.shape)
            state[f"unet.{name}.lora_A.default.weight"] = torch.randn(rank, *size[1:]) / 10
            ones = (1,) * (len(size) - 2)
            state[f"unet.{name}.lora_B.default.weight"] = torch.randn(size[0], rank, *ones) / 10
    last = unet.conv_out
    state["unet.conv_out.weight"] = torch.randn(outputs, last.in_channels, 3, 3) / 10
    state["unet.conv_out.bias"] = torch.randn(outputs)
    return state


@pytest.fixture
def unet(tiny):
    return UNet2DConditionModel.from_pretrained(tiny("xl") / "unet")


@pytest.fixture
def file(tmp_path, unet):
    place = tmp_path / "mine.safetensors"
    save_file(learnt(unet), str(place))
    return place


def test_merged_weights_say_what_peft_says_with_the_lora_beside_them(unet, file):
    """`y = layer(x) + up(down(x))`, by hooks on every layer, against the merged UNet."""
    import torch.nn.functional as F

    state = learnt(unet)
    given = torch.randn(2, 9, 8, 8), torch.tensor([400, 400])
    more = {
        "encoder_hidden_states": torch.randn(2, 7, 32),
        "added_cond_kwargs": {"text_embeds": torch.randn(2, 16), "time_ids": torch.ones(2, 6)},
    }

    def beside(down, up):
        def added(layer, inputs, output):
            if down.dim() == 2:
                return output + F.linear(F.linear(inputs[0], down), up)
            return output + F.conv2d(F.conv2d(inputs[0], down, None, layer.stride, layer.padding), up)

        return added

    hooks = [
        unet.get_submodule(name[5:-22]).register_forward_hook(beside(down, state[name.replace("lora_A", "lora_B")]))
        for name, down in state.items()
        if "lora_A" in name
    ]
    inside = []
    hooks.append(unet.conv_out.register_forward_pre_hook(lambda _, inputs: inside.append(inputs[0])))
    with torch.no_grad():
        unet(*given, **more)
        wanted = F.conv2d(inside[0], state["unet.conv_out.weight"], state["unet.conv_out.bias"], padding=1)
        for hook in hooks:
            hook.remove()
        osor.merge(unet, file)
        said = unet(*given, **more).sample
    assert said.shape == (2, 5, 8, 8)
    assert (said - wanted).abs().max() < 1e-3 * wanted.abs().max()


def test_the_layout_makes_a_file_of_exactly_the_published_size():
    """Its card says 3,111,950,972 bytes; its config is that of SDXL's checkpoint for inpainting."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            in_channels=9, block_out_channels=(320, 640, 1280), cross_attention_dim=2048,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=(5, 10, 20),
            transformer_layers_per_block=(1, 2, 10), use_linear_projection=True, addition_embed_type="text_time",
            addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816,
        )  # fmt: skip
    head, size = {}, 0
    named = {
        f"unet.{name.replace('.weight', '.default.weight') if 'lora' in name else name}": shape
        for name, shape in osor.layout(unet, 256).items()
    }
    for name, shape in sorted(named.items()):
        more = 4 * int(np.prod(shape))
        head[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [size, size + more]}
        size += more
    header = len(json.dumps(head, separators=(",", ":")))
    assert 8 + -(-header // 8) * 8 + size == 3_111_950_972


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("unet.conv_out.bias"), "they lack conv_out.bias"),
        (lambda state: state.pop(next(iter(state))), r"they lack .*lora_A\.weight"),
        (lambda state: state.update(more=torch.zeros(2)), "hold besides more"),
        (lambda state: state.update({"unet.conv_out.bias": torch.zeros(6)}), "have in another size conv_out.bias"),
    ],
)
def test_a_file_that_lacks_a_tensor_or_holds_another_is_refused(unet, tmp_path, change, said):
    state = learnt(unet)
    change(state)
    save_file(state, str(tmp_path / "other.safetensors"))
    with pytest.raises(ValueError, match=rf"other\.safetensors holds the weights of another network.* {said}"):
        osor.merge(unet, tmp_path / "other.safetensors")


def test_a_file_of_its_kind_is_told_by_its_tensors_and_is_based_on_sdxl(file):
    choice = choose(str(file))
    assert (choice.method, choice.checkpoint.base, choice.checkpoint.in_channels) == ("osor", "sdxl", 9)


def test_a_file_is_merged_into_its_base_when_it_is_loaded(tiny, file, unet):
    """The same as a folder with everything merged."""
    checkpoint = Checkpoint(str(file), "sdxl", 9, 32, method="osor", base=str(tiny("xl")))
    paint = method.load(checkpoint, Options(**OFFLINE))
    osor.merge(unet, file)
    merged = paint.pipeline.unet.state_dict()
    assert merged.keys() == unet.state_dict().keys()
    assert all((merged[name] - one).abs().max() < 1e-5 for name, one in unet.state_dict().items())
    assert paint(crops(2), [1, 2])[0].shape == (32, 32, 4)


def test_without_a_fifth_channel_it_is_said_so_and_what_to_do(tiny, unet, tmp_path):
    save_file(learnt(unet, outputs=4), str(tmp_path / "phase1.safetensors"))
    with pytest.raises(ValueError, match=r"phase1\.safetensors has 4 output channels, no fifth.* or --model osor"):
        choose(str(tmp_path / "phase1.safetensors"))
    for model in ("sd15", "sdxl", str(tiny("xl"))):
        with pytest.raises(ValueError, match=r"takes weights with a fifth output channel.*; use --model osor"):
            choose(model, "osor")
    with pytest.raises(ValueError, match=r"9 input and 4 output channels; osor takes .* use --model osor"):
        method.load(Checkpoint(str(tiny("xl")), "sdxl", 9, method="osor"), Options(**OFFLINE))


def test_a_folder_with_five_output_channels_removes_by_osor_alone(tiny):
    assert choose(str(tiny("osor"))).method == "osor"
    with pytest.raises(ValueError, match="removes by osor alone"):
        choose(str(tiny("osor")), "inpainting")
    with pytest.raises(ValueError, match="leave --prompt out"):
        choose(str(tiny("osor")), prompt="a bench")
    for asked in ({"compile": "on"}, {"attention": "hole"}):
        with pytest.raises(ValueError, match="leave --compile and --attention out"):
            load_remover(str(tiny("osor")), **asked, **OFFLINE)


def test_the_file_of_a_preset_is_used_only_with_its_digest(tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(b"others")
    one = replace(PRESETS["osor"], repo=str(tmp_path), file="weights.safetensors")
    with pytest.raises(OSError, match=r"weights\.safetensors is not the file that is known .* not fff6bea"):
        weights_file(one, offline=True)
    own = hashlib.sha256(b"others").hexdigest()
    assert weights_file(replace(one, sha256=own), offline=True) == tmp_path / "weights.safetensors"


def test_from_the_hub_it_comes_with_its_base_and_its_row_names_the_commit(tiny, file, tmp_path, monkeypatch):
    (tmp_path / "repo").mkdir()
    mine = file.rename(tmp_path / "repo" / PRESETS["osor"].file)
    monkeypatch.setitem(PRESETS, "osor", replace(PRESETS["osor"], sha256=hashlib.sha256(mine.read_bytes()).hexdigest()))
    with serving({"eerie-road/osor-sdxl": mine.parent, PRESETS["sdxl"].repo: tiny("xl")}) as hub:
        ask_it(hub, tmp_path / "hub", monkeypatch)
        remover = load_remover("osor", device="cpu")
    assert remover.choice.checkpoint.revision == commit("eerie-road/osor-sdxl")
    assert remover.paint.resolution == 512
    load_remover("osor", device="cpu", offline=True)
    monkeypatch.setitem(PRESETS, "osor", replace(PRESETS["osor"], sha256="0" * 64))
    with pytest.raises(OSError, match="not 0000"):
        load_remover("osor", device="cpu", offline=True, steps=3)


def test_the_preset_says_what_is_known_of_it_without_network(no_network):
    choice = choose("osor", offline=False)
    row = choice.checkpoint
    assert (choice.method, row.repo, row.base, row.license) == ("osor", "eerie-road/osor-sdxl", "sdxl", "openrail++")
    assert choose("eerie-road/osor-sdxl").method == "osor"
