"""What is computed for a crop, counted at the networks themselves: no clock, so the same on every machine."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from removal import load_remover
from removal.checkpoints.known import look_up
from removal.checkpoints.presets import Checkpoint, Choice
from removal.crops.crop import Crop, cut
from removal.crops.remover import CropRemover
from removal.methods import attentive, controlnet
from removal.options import Options
from removal.painting.painter import Painter

CROPS, STEPS = 9, 20
ON_CPU = {"offline": True, "device": "cpu"}


@dataclass(frozen=True)
class Work:
    """What a batch took: rows that went through a network, per crop, and how often it was called."""

    unet: float
    encoded: float
    encodings: int
    decoded: float
    decodings: int


@pytest.fixture
def crops(picture) -> list[Crop]:
    """Nine crops 32×32 with different pictures and holes."""
    made = []
    for k in range(CROPS):
        mask = np.zeros((32, 32), bool)
        mask[4 + k : 16 + k, 8:20] = True
        made.append(cut(np.roll(picture(32, 32), 3 * k, axis=1), mask, 32))
    return made


@pytest.fixture
def work(crops, monkeypatch):
    """A function that has all crops painted in one batch, and tells what that took."""

    def audit(painter: Painter) -> Work:
        pipeline, counts = painter.pipeline, Counter()
        note(monkeypatch, counts, pipeline.unet, "forward")
        note(monkeypatch, counts, pipeline.vae, "encode")
        note(monkeypatch, counts, pipeline.vae, "decode")
        painter(crops, list(range(CROPS)))
        rows = {name: counts[f"{name} rows"] / CROPS for name in ("forward", "encode", "decode")}
        return Work(rows["forward"], rows["encode"], counts["encode"], rows["decode"], counts["decode"])

    return audit


def note(monkeypatch, counts: Counter, network: torch.nn.Module, name: str) -> None:
    """Count the calls of a network's function and the rows that go into it."""
    inner = getattr(network, name)

    def counted(*given, **named):
        counts[name] += 1
        counts[f"{name} rows"] += len(given[0])
        return inner(*given, **named)

    monkeypatch.setattr(network, name, counted)


@pytest.mark.parametrize("kind", ["inpainting", "plain", "xl", "plain-xl"])
def test_a_crop_takes_a_row_a_step_and_one_encoding_and_one_decoding(tiny, work, kind):
    painter = load_remover(str(tiny(kind)), steps=STEPS, strength=1.0, **ON_CPU).paint
    assert work(painter) == Work(unet=20, encoded=1, encodings=1, decoded=1, decodings=2)  # of 8 and of 1


@pytest.mark.parametrize(
    ("kind", "unet", "encoded"),
    [("inpainting", 20, 1), ("plain", 6, 1), ("plain-xl", 6, 1), ("xl", 19, 2)],
)
def test_at_its_usual_strength_only_a_checkpoint_that_starts_from_and_sees_the_picture_encodes_two(
    tiny, work, kind, unet, encoded
):
    """SDXL's inpainting checkpoints start at 0.99; the picture and the masked picture go through in one call."""
    painter = load_remover(str(tiny(kind)), steps=STEPS, **ON_CPU).paint
    assert work(painter) == Work(unet, encoded, encodings=1, decoded=1, decodings=2)


@pytest.mark.parametrize("kind", ["inpainting", "plain", "xl", "plain-xl"])
def test_no_text_encoder_is_kept(tiny, kind):
    pipeline = load_remover(str(tiny(kind)), steps=STEPS, **ON_CPU).paint.pipeline
    assert pipeline.text_encoder is None
    assert getattr(pipeline, "text_encoder_2", None) is None


@pytest.mark.parametrize(("kind", "filled"), [("inpainting", 0), ("plain", CROPS), ("xl", CROPS)])
def test_a_hole_that_nothing_sees_is_not_filled(tiny, crops, monkeypatch, kind, filled):
    """What starts from noise and sees the masked picture alone."""
    painter = load_remover(str(tiny(kind)), steps=2, **ON_CPU).paint
    fills: list[int] = []
    monkeypatch.setattr("removal.painting.painter.prefill", lambda image, *_: fills.append(1) or image)
    painter(crops, list(range(CROPS)))
    assert len(fills) == filled


# Guidance ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["inpainting", "plain"])
def test_guidance_away_from_the_same_words_costs_nothing(tiny, work, kind):
    painter = load_remover(str(tiny(kind)), steps=STEPS, strength=1.0, guidance=7.5, **ON_CPU).paint
    assert work(painter).unet == STEPS


@pytest.mark.parametrize(("zeros", "rows"), [(True, 2 * STEPS), (False, STEPS)])
@pytest.mark.parametrize("kind", ["xl", "plain-xl"])
def test_sdxl_guides_away_from_zeros_which_are_no_empty_prompt(tiny, work, tmp_path, kind, zeros, rows):
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(tiny(kind))
    pipeline.register_to_config(force_zeros_for_empty_prompt=zeros)
    pipeline.save_pretrained(tmp_path)
    painter = load_remover(str(tmp_path), steps=STEPS, strength=1.0, guidance=7.5, **ON_CPU).paint
    assert work(painter).unet == rows


def test_a_prompt_is_guided_to_in_a_second_row(tiny, work):
    painter = load_remover(str(tiny("plain")), steps=STEPS, strength=1.0, prompt="a meadow", **ON_CPU).paint
    assert work(painter).unet == 2 * STEPS


@pytest.mark.parametrize(("kind", "guidance", "rows"), [("plain", 7.5, 2), ("xl", 1.0, 2), ("xl", 7.5, 3)])
def test_attentive_eraser_takes_two_rows_a_step_and_a_third_where_guidance_says_something(
    tiny, work, kind, guidance, rows
):
    options = Options(steps=STEPS, strength=1.0, guidance=guidance, **ON_CPU)
    painter = attentive.load(look_up(str(tiny(kind))), options)
    assert work(painter) == Work(unet=rows * STEPS, encoded=1, encodings=1, decoded=1, decodings=2)


def test_a_controlnet_is_asked_once_a_step_and_what_it_sees_is_encoded_in_batches(tiny, work, tmp_path):
    from diffusers import ControlNetModel, UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(tiny("plain"), subfolder="unet")
    ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 4, 8)).save_pretrained(tmp_path)
    options = Options(steps=STEPS, strength=1.0, guidance=7.5, **ON_CPU)
    painter = controlnet.load(look_up(str(tiny("plain"))), options, str(tmp_path))
    assert work(painter) == Work(unet=STEPS, encoded=2, encodings=2, decoded=1, decodings=2)


# What is added, and what is filled up --------------------------------------------------------------------------------


def test_a_lora_costs_nothing_once_it_is_added(tiny, work, tmp_path):
    from safetensors.torch import save_file

    place = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    lora = {f"{place}.lora_A.weight": torch.ones(1, 16), f"{place}.lora_B.weight": torch.ones(16, 1)}
    save_file(lora, tmp_path / "style.safetensors")
    options = {"steps": STEPS, "strength": 1.0, "lora": (str(tmp_path / "style.safetensors"),), **ON_CPU}
    painter = load_remover(str(tiny("inpainting")), **options).paint
    assert work(painter) == Work(unet=20, encoded=1, encodings=1, decoded=1, decodings=2)


def test_an_lcm_lora_takes_a_row_for_each_of_its_few_steps(tiny, work, tmp_path):
    from safetensors.torch import save_file

    place = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    lora = {f"{place}.lora_A.weight": torch.ones(1, 16), f"{place}.lora_B.weight": torch.ones(16, 1)}
    save_file(lora, tmp_path / "lcm.safetensors")
    options = {"steps": 4, "strength": 1.0, "lora": (str(tmp_path / "lcm.safetensors"),), **ON_CPU}
    assert work(load_remover(str(tiny("inpainting")), prompt="a meadow", **options).paint).unet == 4


class Rows:
    """In the place of a painter: notes how many rows each of its batches has."""

    resolution, steps, strength = 32, 1, 1.0

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, crops: list[Crop], seeds: list[int]) -> list[np.ndarray]:
        self.batches.append(len(crops))
        return [crop.image for crop in crops]


def rows_of_a_folder(pictures: int, size: int, whole: bool, monkeypatch, tmp_path) -> tuple[Rows, int]:
    """What a run over so many pictures sends to a painter that takes `size` at a time, and how many it has to."""
    from flows.formats.encoding import encode_image
    from flows.formats.mask_files import encode_mask
    from flows.job import Job
    from flows.run import run

    (tmp_path / "in").mkdir()
    mask = np.zeros((48, 40), bool)
    mask[8:20, 8:20] = True
    (tmp_path / "mask.png").write_bytes(encode_mask(mask))
    for k in range(pictures):
        (tmp_path / "in" / f"{k}.png").write_bytes(encode_image(np.full((48, 40, 3), k, np.uint8)))
    rows = Rows()
    remover = CropRemover(Choice("", Checkpoint(""), "inpainting", "asked for"), rows, 2.0, size, whole_batches=whole)
    monkeypatch.setattr("flows.steps.remove_masked.load_remover", lambda *_, **__: remover)
    places = {"source": tmp_path / "in", "target": tmp_path / "out", "masks": tmp_path / "mask.png"}
    run(Job(**{name: str(place) for name, place in places.items()}, model="bundled", verify=False))
    return rows, pictures


@pytest.mark.parametrize(("pictures", "size"), [(45, 8)])
def test_of_a_folder_no_row_is_padding(pictures, size, monkeypatch, tmp_path):
    rows, needed = rows_of_a_folder(pictures, size, False, monkeypatch, tmp_path)
    assert sum(rows.batches) == needed
    assert len(rows.batches) <= -(-needed // size) + 1


@pytest.mark.parametrize(("pictures", "size"), [(64, 8), (62, 4)])
def test_even_in_whole_batches_at_most_a_twentieth_is(pictures, size, monkeypatch, tmp_path):
    """As `--compile` needs them: only the last batch of a portion is filled up."""
    rows, needed = rows_of_a_folder(pictures, size, True, monkeypatch, tmp_path)
    assert set(rows.batches) == {size}
    assert (sum(rows.batches) - needed) / sum(rows.batches) <= 0.05


@pytest.mark.parametrize("context", [1.5, 2.0])
def test_a_photo_of_12_megapixels_takes_what_one_of_1_megapixel_takes(context):
    """One crop at the checkpoint's own resolution for the same object, whatever the photo's size."""
    painted = []
    for height, width in ((866, 1154), (3000, 4000)):
        rows = Rows()
        remover = CropRemover(Choice("", Checkpoint(""), "inpainting", "asked for"), rows, context, 4)
        mask = np.zeros((height, width), bool)
        mask[height // 3 : height // 2, width // 3 : width // 2] = True
        remover([np.zeros((height, width, 3), np.uint8)], [mask], [0])
        painted.append(rows.batches)
    assert painted == [[1], [1]]
