"""The table of models: what it says is so, and the documents say the same."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from spandrel.architectures.LaMa import LaMa

from flows.job import Job
from removal import PRESETS, Checkpoint, Options, load_remover
from removal.checkpoints.known import look_up
from removal.checkpoints.presets import WHY_SD15
from removal.fills import lama

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "removal" / "README.md").read_text()
FIRST = next(iter(PRESETS))


def row(name: str, said: Checkpoint) -> str:
    """A preset as a row of the README's table."""
    about = said.about
    pinned = f"SHA-256 {said.sha256[:12]}" if said.sha256 else "unpinned"
    place = "none" if not said.repo else "inside the package" if said.is_local else f"`{said.repo}`, {pinned}"
    place += f", added to `{said.base}`" if said.base else ""
    cells = [
        f"`{name}`" + " (default)" * (name == Job().model), about.good_for, place, said.license,
        f"{'none' if said.is_local else said.size}, {about.memory:g} GB",
        f"{about.rows}, {about.tflop:g}" if about.rows else "none", about.evidence, f"`{said.segmenter}`",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def test_the_readme_lists_every_preset_in_the_order_and_with_the_words_of_the_table():
    table = DOCUMENT[DOCUMENT.index("## Models") :]
    shown = [line for line in table[: table.index("```")].splitlines() if line.startswith("| `")][1:]
    assert shown == [row(*item) for item in PRESETS.items()]


def test_the_first_command_with_weights_takes_the_model_that_is_first_in_the_table():
    readme = (ROOT / "README.md").read_text()
    lines = re.findall(r"^cleanplate run .*", readme, re.M)
    models = [(re.search(r"--model (\S+)", line) or ["", Job().model])[1] for line in lines if "--method" not in line]
    assert next(model for model in models if PRESETS[model].repo) == FIRST


def test_where_the_default_is_not_the_first_its_reason_stands_in_the_readme_and_in_the_list(capsys):
    from flows.cli.verbs.models import models

    assert Job().model != FIRST
    models()
    assert WHY_SD15 in " ".join(capsys.readouterr().out.split())
    assert f"Why `{FIRST}` comes first, and `{Job().model}` is still the default" in DOCUMENT


@pytest.mark.parametrize("model", [name for name, one in PRESETS.items() if one.is_local and one.repo])
def test_a_bundled_preset_takes_as_many_rows_and_operations_a_hole_as_the_table_says(model):
    from torch.utils.flop_counter import FlopCounterMode

    about, remove, rows = PRESETS[model].about, load_remover(model, device="cpu"), []
    unet = remove.paint.pipeline.unet
    hook = unet.register_forward_pre_hook(
        lambda _, given, named: rows.append(len((*given, *named.values())[0])), with_kwargs=True
    )
    mask = np.zeros((128, 128), bool)
    mask[50:70, 50:70] = True
    try:
        with FlopCounterMode(display=False) as counted:
            remove([np.full((128, 128, 3), 99, np.uint8)], [mask], [0])
    finally:
        hook.remove()
    assert sum(rows) == about.rows
    assert about.tflop == pytest.approx(counted.get_total_flops() / 1e12, abs=0.005)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("lama") / "mine.safetensors"
    torch.manual_seed(0)
    save_file({name: one.half() for name, one in LaMa(in_nc=4, out_nc=3).state_dict().items()}, str(file))
    return file


def test_a_file_with_the_digest_of_the_table_is_loaded_and_another_is_refused(weights):
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    known = replace(look_up(str(weights)), sha256=digest)
    assert lama.load(known, Options(device="cpu")).device == "cpu"
    with pytest.raises(
        OSError, match=rf"its SHA-256 is {digest}, not {'0' * 64}; remove it and fetch it again, or give"
    ):
        lama.load(replace(known, sha256="0" * 64), Options(device="cpu"))


def test_a_pinned_preset_is_fetched_at_its_commit_and_another_commit_has_no_known_digest():
    pinned = [name for name, one in PRESETS.items() if one.sha256]
    assert "lama" in pinned
    for name in pinned:
        assert re.fullmatch(r"[0-9a-f]{64}", PRESETS[name].sha256)
        if name != "osor":  # whose mirror states a digest, and no commit is known
            assert re.fullmatch(r"[0-9a-f]{40}", PRESETS[name].revision)
        assert look_up(name) == look_up(PRESETS[name].repo) == PRESETS[name]
        other = look_up(name, revision="main")
        assert (other.revision, other.sha256) == ("main", "")
