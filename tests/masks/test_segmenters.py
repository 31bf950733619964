"""The table of segmenters, and what each refuses before anything is loaded."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest

from masks import SEGMENTERS, BoxPrompt, PointPrompt, TextPrompt, load_segmenter
from masks.segmenters import BUNDLED, bundled_words, objection, split_name

TEXT_BY = "bundled, clipseg, grounded-sam, grounded-sam2, llmdet-sam, owlv2-sam, rf-detr, sam3 do"
SHAPES_BY = "bundled, grounded-sam, grounded-sam2, llmdet-sam, owlv2-sam, sam, sam2, sam3, grabcut do"
POINT, BOX = PointPrompt(((3, 4, 1),)), BoxPrompt((1, 1, 5, 5))


@pytest.mark.parametrize("ask", [load_segmenter, split_name, lambda name: objection(name, POINT)])
def test_an_unknown_segmenter_is_answered_with_those_there_are(ask):
    with pytest.raises(ValueError, match="unknown segmenter 'samm'; there are bundled, clipseg, grounded-sam"):
        ask("samm")


def test_weights_of_ones_own_follow_the_name():
    assert split_name("sam:/a/b.pth") == (SEGMENTERS["sam"], "/a/b.pth", "")
    assert split_name("sam") == (SEGMENTERS["sam"], "vit_b", "")


def test_a_detectors_weights_follow_a_plus_where_there_is_a_detector(tmp_path):
    row = SEGMENTERS["grounded-sam"]
    assert split_name("grounded-sam") == (row, "vit_b", row.detector)
    assert split_name("grounded-sam:vit_h") == (row, "vit_h", row.detector)
    assert split_name("grounded-sam:+me/dino@main") == (row, "vit_b", "me/dino@main")
    assert split_name("grounded-sam:vit_l+me/dino") == (row, "vit_l", "me/dino")
    assert split_name("sam:a+b.pth")[1:] == ("a+b.pth", "")
    (tmp_path / "a+b.pth").touch()
    assert split_name(f"grounded-sam:{tmp_path}/a+b.pth") == (row, f"{tmp_path}/a+b.pth", row.detector)


def test_every_row_says_its_licence_and_where_its_weights_come_from_and_can_be_loaded():
    from masks.loading import LOADERS

    assert LOADERS.keys() == SEGMENTERS.keys()
    for name, row in SEGMENTERS.items():
        assert row.license
        assert row.about
        assert bool(row.weights) == (name not in ("bundled", "grabcut"))
        assert not row.detector or TextPrompt in row.takes


@pytest.mark.parametrize(
    ("name", "prompt", "kind", "able"),
    [
        (
            "sam",
            TextPrompt("red ball"),
            "text",
            TEXT_BY,
        ),
        (
            "sam:vit_h",
            TextPrompt("red ball"),
            "text",
            TEXT_BY,
        ),
        ("clipseg", POINT, "points", SHAPES_BY),
        ("clipseg", BOX, "boxes", SHAPES_BY),
    ],
)
def test_a_prompt_of_the_wrong_kind_is_refused_with_who_takes_it(name, prompt, kind, able):
    reason = objection(name, prompt)
    assert f"takes no {kind}" in reason
    assert able in reason


def test_a_prompt_of_the_right_kind_is_not_refused():
    for name, row in SEGMENTERS.items():
        phrase = "person" if name == "rf-detr" else "red ball"  # each knows only what it was trained on
        for prompt in (TextPrompt(phrase), POINT, BOX):
            assert (objection(name, prompt) is None) == isinstance(prompt, row.takes)


@pytest.mark.parametrize("text", ["dog", "red dog", "a red ball, please", "red ball."])
def test_the_bundled_segmenter_says_which_word_it_does_not_know(text):
    unknown = {"dog": "dog", "red dog": "dog", "a red ball, please": "a", "red ball.": "."}[text]
    reason = objection("bundled", TextPrompt(text))
    assert f"does not know the word {unknown!r}" in reason
    assert "grounded-sam" in reason
    assert objection("grounded-sam", TextPrompt(text)) is None


@pytest.mark.parametrize("text", ["red ball", "Red BALL", "  star ", "pink"])
def test_the_bundled_segmenter_takes_the_words_of_its_scenes_in_any_case(text):
    assert objection("bundled", TextPrompt(text)) is None


def test_the_bundled_segmenter_knows_every_word_that_a_scene_can_use():
    from removal.bundled.scenes import COLOURS, SHAPES

    assert bundled_words() == {*COLOURS, *SHAPES}


def test_a_segmenter_is_loaded_once(scenes):
    assert load_segmenter("bundled") is load_segmenter("bundled")


def test_prompts_of_every_kind_can_be_mixed_in_one_call(scenes):
    """Each image gets the answer to its own prompt, the same as when it is asked alone."""
    segment = load_segmenter("bundled")
    drawn = scenes[:4]
    prompts = [
        PointPrompt((drawn[0].point,)),
        TextPrompt(drawn[1].target.text),
        BoxPrompt((5, 5, 120, 120)),
        TextPrompt(drawn[3].target.text),
    ]
    together = segment([scene.image for scene in drawn], prompts)
    for scene, prompt, found in zip(drawn, prompts, together, strict=True):
        alone = segment([scene.image], [prompt])[0]
        assert (alone.mask == found.mask).mean() > 0.999
        assert found.mask.shape == scene.image.shape[:2]


def test_clipseg_loads_from_a_folder_of_ones_own(tmp_path, scenes, no_network):
    shutil.copytree(BUNDLED / "clipseg", tmp_path / "mine")
    images, prompts = [s.image for s in scenes[:3]], [TextPrompt(s.target.text) for s in scenes[:3]]
    mine = load_segmenter(f"clipseg:{tmp_path / 'mine'}", threshold=0.5)(images, prompts)
    bundled = load_segmenter("bundled", threshold=0.5)(images, prompts)
    assert all((a.mask == b.mask).all() for a, b in zip(mine, bundled, strict=True))


def test_offline_weights_that_are_not_in_the_cache_are_an_os_error_that_names_them(tmp_path, monkeypatch, no_network):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(OSError, match="no-one/clipseg-nowhere"):
        load_segmenter("clipseg:no-one/clipseg-nowhere", offline=True)


def test_asking_what_a_segmenter_takes_loads_no_network():
    program = (
        "import sys; from masks import TextPrompt; from masks.segmenters import objection; "
        "assert objection('sam', TextPrompt('dog')); "
        "print([name for name in ('torch', 'transformers', 'segment_anything') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_a_picture_of_any_size_gets_a_mask_of_that_size(picture):
    segment = load_segmenter("bundled")
    for height, width in ((40, 300), (301, 77), (128, 128)):
        image = picture(height, width)
        prompts = [PointPrompt(((width // 2, height // 2, 1),)), TextPrompt("red ball"), BoxPrompt((2, 2, 30, 30))]
        for found in segment([image] * 3, prompts):
            assert found.mask.shape == (height, width)
            assert found.mask.dtype == np.bool_
            assert all(0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height for x0, y0, x1, y1 in found.boxes)
            assert 0 <= found.score <= 1
