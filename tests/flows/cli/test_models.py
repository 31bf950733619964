"""The verbs about models: what would be used, and what needs a yes."""

from __future__ import annotations

import json

import pytest

from flows.cli.verbs.models import explain, pull
from flows.errors import UsageError
from flows.job import Job
from flows.preflight import chosen


def explained(capsys, *words, **options) -> dict:
    explain(*words, json=True, **options)
    return json.loads(capsys.readouterr().out)


def test_explain_says_what_a_lora_for_lcm_and_another_autoencoder_change(capsys, no_network):
    facts = explained(capsys, "sdxl", lora=["latent-consistency/lcm-lora-sdxl:0.9"], vae="taesd")
    assert facts["lora"] == "latent-consistency/lcm-lora-sdxl × 0.9"
    assert facts["scheduler"] == "LCM, as that LoRA is made for it: at most 8 steps, guidance 1"
    assert facts["vae"] == "madebyollin/taesdxl"


def test_explain_says_what_weights_are_added_to_and_their_digest_where_one_is_known(capsys, no_network):
    facts = explained(capsys, "osor")
    assert (facts["repo"], facts["base"], facts["method"]) == ("eerie-road/osor-sdxl", "sdxl", "osor")
    assert facts["sha256"].startswith("fff6bea76360666f")
    assert facts["license"] == "openrail++"


def test_a_folder_for_one_method_has_its_licence_in_its_card_too(tmp_path, no_network):
    (tmp_path / "unet").mkdir()
    unet = {"in_channels": 9, "out_channels": 5, "cross_attention_dim": 2048, "addition_embed_type": "text_time"}
    (tmp_path / "unet/config.json").write_text(json.dumps(unet))
    (tmp_path / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    with pytest.raises(UsageError, match=r"forbids commercial use; .* say --accept-license"):
        chosen(Job(model=str(tmp_path)))
    assert chosen(Job(model=str(tmp_path), accept_license=True)).method == "osor"


def test_without_them_explain_says_nothing_of_them(capsys, no_network):
    assert not {"lora", "scheduler", "vae"} & explained(capsys, "sd15").keys()


@pytest.mark.parametrize("model", ["stabilityai/sdxl-turbo", "a folder"])
def test_weights_that_forbid_commercial_use_are_refused_before_anything_is_touched(model, tmp_path, no_network):
    if model == "a folder":
        (tmp_path / "unet").mkdir()
        (tmp_path / "unet/config.json").write_text('{"in_channels": 4, "cross_attention_dim": 768}')
        (tmp_path / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
        model = str(tmp_path)
    with pytest.raises(UsageError, match=r"forbids commercial use; .* say --accept-license"):
        chosen(Job(model=model))
    assert chosen(Job(model=model, accept_license=True)).method == "blending"


def test_loras_and_the_autoencoder_are_part_of_what_a_result_was_made_with():
    plain = Job().settings
    assert Job(lora="a/b:0.5").settings != plain != Job(vae="taesd").settings
    assert Job(accept_license=True).settings == plain
    assert Job(lora=["a/b"], vae="taesd").remover_options["lora"] == ("a/b",)


def test_what_is_here_already_needs_no_pull(capsys, no_network):
    pull("bundled")
    assert capsys.readouterr().out.strip().endswith("bundled/inpainting")


def test_the_list_of_models_fits_80_columns_and_says_costs_in_words(capsys):
    from flows.cli.verbs.models import models

    models()
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "passes of the network a hole" in " ".join(line.strip() for line in lines)
