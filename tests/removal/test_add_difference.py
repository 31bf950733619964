"""The method that makes the inpainting checkpoint which a fine-tune does not have."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from removal import load_remover
from removal.checkpoints import choice as checkpoints
from removal.removers import _load

OFFLINE = {"offline": True, "device": "cpu", "steps": 2}


@pytest.fixture
def fine_tune(tiny, tmp_path, monkeypatch) -> Path:
    """A fine-tune of the tiny plain checkpoint, whose family's parents are the tiny ones."""
    folder = tmp_path / "fine-tune"
    shutil.copytree(tiny("plain"), folder)
    file = folder / "unet/diffusion_pytorch_model.safetensors"
    save_file({name: 1.02 * tensor for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})
    monkeypatch.setitem(checkpoints.PARENTS, "sd15", (str(tiny("plain")), str(tiny("inpainting"))))
    monkeypatch.setenv("CLEANPLATE_CACHE", str(tmp_path / "cache"))
    _load.cache_clear()
    return folder


def test_a_fine_tune_removes_with_the_checkpoint_made_for_it(fine_tune, picture, tmp_path):
    remove = load_remover(str(fine_tune), method="add-difference", **OFFLINE)
    assert remove.choice.method == "add-difference"
    image, mask = picture(32, 32), np.zeros((32, 32), bool)
    mask[8:20, 8:20] = True
    (result,) = remove([image], [mask], [5])
    assert (result[~mask] == image[~mask]).all()
    (merged,) = (tmp_path / "cache/merged").iterdir()
    (wanted,) = load_remover(str(merged), **OFFLINE)([image], [mask], [5])
    assert (result == wanted).all()


def test_a_fine_tune_that_cannot_be_merged_is_refused_with_what_to_do(fine_tune):
    config = fine_tune / "scheduler/scheduler_config.json"
    config.write_text(config.read_text().replace('"epsilon"', '"v_prediction"'))
    with pytest.raises(ValueError, match="use --method blending"):
        load_remover(str(fine_tune), method="add-difference", **OFFLINE)
