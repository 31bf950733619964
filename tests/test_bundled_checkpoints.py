"""What ships inside the package: real formats, small, and good enough on scenes that nobody trained on."""

import json
from pathlib import Path

import numpy as np
import pytest

from masks import PointPrompt, TextPrompt, load_segmenter
from masks.segmenters import bundled_words
from removal import load_remover
from removal.bundled.scenes import TRAINING_SEEDS, scene
from removal.fills import telea
from removal.quality import psnr, there_again

ROOT = Path(__file__).parents[1]
WEIGHTS = [*ROOT.glob("removal/bundled/**/*.safetensors"), *ROOT.glob("masks/bundled/**/*.safetensors")]
UNSEEN = [scene(77_000_000 + k) for k in range(24)]


def test_weights_are_safetensors_of_half_precision_without_a_variant_in_their_name():
    from safetensors import safe_open

    assert len(WEIGHTS) == 10
    for file in WEIGHTS:
        assert file.name in ("diffusion_pytorch_model.safetensors", "model.safetensors")
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118  no dict
                dtype = tensors.get_slice(name).get_dtype()
                assert dtype == "F16" or name.endswith("position_ids"), (file, name, dtype)


def test_everything_together_is_under_40_mb():
    assert sum(f.stat().st_size for f in [*WEIGHTS, *ROOT.glob("masks/bundled/**/*.pth")]) < 40e6


def test_base_and_style_have_4_channels_and_the_one_for_inpainting_9():
    channels = {
        name: json.loads((ROOT / "removal/bundled" / name / "unet/config.json").read_text())["in_channels"]
        for name in ("base", "style", "inpainting")
    }
    assert channels == {"base": 4, "style": 4, "inpainting": 9}


def test_scenes_to_be_tried_on_were_never_trained_on():
    from flows.samples.scenes import FARTHEST_SEED

    assert FARTHEST_SEED * 1_000_000 <= TRAINING_SEEDS


@pytest.fixture(scope="module")
def filled() -> list[np.ndarray]:
    remove = load_remover("bundled", device="cpu")
    return remove([s.image for s in UNSEEN], [s.mask for s in UNSEEN], seeds=list(range(len(UNSEEN))))


def test_a_removed_object_stays_away(filled):
    back = [there_again(f, s.truth, s.mask, s.object) for f, s in zip(filled, UNSEEN, strict=True)]
    assert not any(back)


def test_holes_are_filled_2_db_closer_to_the_truth_than_by_telea_and_4_db_in_textures(filled):
    smears = [telea.fill(s.image, s.mask) for s in UNSEEN]
    gains = np.array(
        [psnr(f, s.truth, s.mask) - psnr(t, s.truth, s.mask) for f, t, s in zip(filled, smears, UNSEEN, strict=True)]
    )
    textured = np.array([s.textured for s in UNSEEN])
    assert textured.sum() >= 12
    assert gains.mean() > 2
    assert gains[textured].mean() > 4


def overlap(found: np.ndarray, wanted: np.ndarray) -> float:
    return float((found & wanted).sum() / (found | wanted).sum())


def test_a_point_finds_its_object():
    segment = load_segmenter("bundled", device="cpu")
    found = segment([s.image for s in UNSEEN], [PointPrompt(((*s.point, 1),)) for s in UNSEEN])
    assert np.mean([overlap(f.mask, s.object) for f, s in zip(found, UNSEEN, strict=True)]) >= 0.9


def test_a_phrase_finds_its_own_object_rather_than_another():
    segment = load_segmenter("bundled", device="cpu")
    several = [s for s in UNSEEN if len(s.things) > 1]
    own = segment([s.image for s in several], [TextPrompt(s.target.text) for s in several])
    right = [
        overlap(f.mask, s.object) > max(overlap(f.mask, other) for other in s.objects[:-1])
        for f, s in zip(own, several, strict=True)
    ]
    assert len(several) >= 10
    assert np.mean(right) >= 0.8


def test_the_words_it_knows_are_the_scenes_colours_and_shapes():
    from removal.bundled.scenes import COLOURS, SHAPES

    assert bundled_words() == {*COLOURS, *SHAPES}


def test_with_a_prompt_the_object_is_replaced_by_what_it_names():
    """The base draws from captions, so a hole asked to be red is redder than one asked to be blue."""
    some = UNSEEN[:8]
    red, blue = (
        load_remover("bundled-base", method="blending", prompt=prompt, prefill=False, device="cpu")(
            [s.image for s in some], [s.mask for s in some], seeds=list(range(len(some)))
        )
        for prompt in ("a red ball", "a blue square")
    )

    def redness(results: list[np.ndarray]) -> float:
        return float(
            np.mean([r[s.mask][:, 0].mean() - r[s.mask][:, 2].mean() for r, s in zip(results, some, strict=True)])
        )

    assert redness(red) > redness(blue) + 10
    for result, s in zip(red, some, strict=True):
        assert (result[~s.mask] == s.image[~s.mask]).all()


def drawn(name: str, captions: list[str]) -> list[np.ndarray]:
    """What a plain checkpoint draws from captions, one picture each."""
    import torch
    from diffusers import StableDiffusionPipeline

    folder = ROOT / "removal/bundled" / name
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    noise = [torch.Generator().manual_seed(seed) for seed in range(len(captions))]
    made = pipeline(captions, num_inference_steps=20, guidance_scale=1.0, generator=noise, output_type="np").images
    return list((made * 255).round().astype(np.uint8))


def test_the_base_draws_things_in_the_colour_that_the_caption_names():
    """Red, green and blue: of the saturated pixels most are of the channel asked for."""
    names = ("red", "green", "blue")
    pictures = drawn("base", [f"a {name} ball on gradient" for name in names for _ in range(6)])
    right, seen = 0, 0
    for k, picture in enumerate(pictures):
        vivid = picture[(picture.max(axis=2).astype(int) - picture.min(axis=2)) > 100]
        if len(vivid) > 40:
            seen += 1
            right += np.bincount(vivid.argmax(axis=1), minlength=3).argmax() == k // 6
    assert seen >= 9
    assert right / seen >= 0.8


def test_the_style_draws_scenes_by_night_and_its_parent_by_day():
    night, day = (np.mean(drawn(name, [""] * 8), axis=(1, 2, 3)) for name in ("style", "base"))
    assert night.mean() < 0.75 * day.mean()
    assert abs(night.mean() - np.mean([scene(k, "night").image.mean() for k in range(40)])) < 25
