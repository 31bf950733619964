"""With a prompt's embeddings on disk no text encoder is loaded."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from removal.checkpoints.known import look_up
from removal.crops.crop import cut
from removal.options import Options
from removal.painting import pipelines
from removal.painting.painter import Painter

ON_CPU = {"offline": True, "device": "cpu", "steps": 1}


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CLEANPLATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "prompt_embeddings"


@pytest.fixture
def encoders(monkeypatch) -> list[str]:
    """The text encoders that were built, as a growing list of their classes' names."""
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    built: list[str] = []
    for kind in (CLIPTextModel, CLIPTextModelWithProjection):

        def noted(self, *given, inner=kind.__init__, **named):
            built.append(type(self).__name__)
            inner(self, *given, **named)

        monkeypatch.setattr(kind, "__init__", noted)
    return built


def load(folder, **options) -> Painter:
    checkpoint = look_up(str(folder))
    return pipelines.load(checkpoint, Options(**ON_CPU | options), checkpoint.in_channels)


@pytest.mark.parametrize(("kind", "first"), [("inpainting", 1), ("plain", 1), ("xl", 3)])  # its second one holds one
def test_the_second_load_has_the_same_words_without_a_text_encoder(tiny, encoders, kind, first):
    folder = tiny(kind)  # which builds some too, where it is the first to be asked for
    encoders.clear()
    before = load(folder)
    assert len(encoders) == first
    again = load(folder)
    assert len(encoders) == first
    assert again.prompt_embeddings.keys() == before.prompt_embeddings.keys()
    assert all(again.prompt_embeddings[name].equal(before.prompt_embeddings[name]) for name in before.prompt_embeddings)


def test_a_picture_is_the_same_with_kept_words(tiny, picture):
    mask = np.zeros((32, 32), bool)
    mask[8:20, 8:20] = True
    crop = cut(picture(32, 32), mask, 32)
    (first,), (second,) = (load(tiny("xl"))([crop], [3]) for _ in range(2))
    assert (first == second).all()


@pytest.mark.parametrize(
    "other", [{"prompt": "a meadow"}, {"guidance": 3.0}, {"dtype": "bfloat16"}], ids=["prompt", "guidance", "dtype"]
)
def test_other_words_and_other_precision_are_kept_apart(tiny, encoders, other):
    load(tiny("plain"))
    encoders.clear()
    load(tiny("plain"), **other)
    assert len(encoders) == 1


def test_another_text_encoder_under_the_same_name_is_asked_itself(tiny, encoders, tmp_path):
    from transformers import CLIPTextModel

    shutil.copytree(tiny("plain"), tmp_path / "model")
    before = load(tmp_path / "model").prompt_embeddings["prompt_embeds"]
    torch.manual_seed(1)
    CLIPTextModel(CLIPTextModel.from_pretrained(tiny("plain") / "text_encoder").config).save_pretrained(
        tmp_path / "model/text_encoder"
    )
    encoders.clear()
    assert not load(tmp_path / "model").prompt_embeddings["prompt_embeds"].equal(before)
    assert len(encoders) == 1


@pytest.mark.parametrize("broken", ["cut short", "nothing", "other names", "not numbers"])
def test_a_file_that_cannot_be_used_is_made_anew(tiny, encoders, empty_cache, broken):
    before = load(tiny("plain")).prompt_embeddings["prompt_embeds"]
    (file,) = empty_cache.iterdir()
    match broken:
        case "cut short":
            file.write_bytes(file.read_bytes()[:-8])
        case "nothing":
            file.write_bytes(b"")
        case "other names":
            save_file({"weight": torch.ones(3)}, file)
        case "not numbers":
            save_file({"prompt_embeds": torch.full((1, 2, 3), torch.nan)}, file)
    encoders.clear()
    assert load(tiny("plain")).prompt_embeddings["prompt_embeds"].equal(before)
    load(tiny("plain"))
    assert len(encoders) == 1
    assert [one.name for one in empty_cache.iterdir()] == [file.name]


def test_where_nothing_can_be_kept_the_words_are_made_every_time(tiny, encoders, empty_cache):
    empty_cache.parent.mkdir()
    empty_cache.write_text("a file in the way")
    load(tiny("plain"))
    load(tiny("plain"))
    assert len(encoders) == 2
