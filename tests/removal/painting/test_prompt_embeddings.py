"""The prompt is encoded once, and guidance is kept where it leads anywhere."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from removal.painting.prompt_embeddings import encoded, needed

SAME, OTHER = torch.ones(1, 3, 2), torch.ones(1, 3, 2) * 2
POOLED, OTHER_POOLED = torch.ones(1, 2), torch.ones(1, 2) * 2


def embeddings(pipeline, prompt, guided):
    return needed(pipeline, encoded(pipeline, prompt, guided))


def pipeline(*encoded, time_cond_proj_dim=None, **config) -> SimpleNamespace:
    """Stands in for one whose text encoders say `encoded`: two values for Stable Diffusion, four for SDXL."""
    unet = SimpleNamespace(device=torch.device("cpu"), config=SimpleNamespace(time_cond_proj_dim=time_cond_proj_dim))
    encoders = {"text_encoder": "one"} | ({"text_encoder_2": "two"} if len(encoded) == 4 else {})
    return SimpleNamespace(unet=unet, config=config, encode_prompt=lambda *_, **__: encoded, **encoders)


@pytest.mark.parametrize(
    ("encoded", "guided"),
    [
        ((SAME, SAME.clone()), False),
        ((SAME, OTHER), True),
        ((SAME, SAME.clone(), POOLED, POOLED.clone()), False),
        ((SAME, SAME.clone(), POOLED, OTHER_POOLED), True),
        ((SAME, OTHER, POOLED, POOLED.clone()), True),
    ],
)
def test_the_empty_prompt_is_left_out_where_its_embeddings_are_those_of_the_prompt(encoded, guided):
    words = embeddings(pipeline(*encoded), "whatever it says", guided=True)
    assert ("negative_prompt_embeds" in words) == guided
    assert len(words) == (len(encoded) if guided else len(encoded) // 2)
    assert words["prompt_embeds"] is SAME


def test_without_guidance_there_is_no_empty_prompt():
    assert embeddings(pipeline(SAME, None), "", guided=False).keys() == {"prompt_embeds"}
    assert embeddings(pipeline(SAME, None, POOLED, None), "", guided=False).keys() == {
        "prompt_embeds",
        "pooled_prompt_embeds",
    }


@pytest.mark.parametrize("told", [{"time_cond_proj_dim": 256}, {"requires_aesthetics_score": True}])
def test_guidance_stays_where_the_network_is_told_of_it(told):
    assert "negative_prompt_embeds" in embeddings(pipeline(SAME, SAME.clone(), **told), "", guided=True)


def test_the_text_encoders_are_let_go_of():
    done = pipeline(SAME, None, POOLED, None)
    embeddings(done, "", guided=False)
    assert (done.text_encoder, done.text_encoder_2) == (None, None)
