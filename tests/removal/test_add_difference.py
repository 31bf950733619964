"""The method that makes the inpainting checkpoint which a fine-tune does not have."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from removal import add_difference, checkpoints, load_remover
from removal.checkpoints import SD15, Checkpoint, look_up
from removal.removers import Options, _load

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


def test_of_a_hub_id_only_what_is_needed_is_fetched(tiny, monkeypatch):
    asked = {}

    def snapshot_download(repo, **given):
        asked.update(given | {"repo": repo})
        return str(tiny("plain"))

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert add_difference._folder(look_up(SD15), Options(offline=True), "unet/") == Path(tiny("plain"))
    assert asked["repo"] == SD15
    assert asked["local_files_only"] is True
    assert "unet/*.fp16.safetensors" in asked["allow_patterns"]
    add_difference._folder(Checkpoint("someone/fine-tune", revision="abc"), Options(), "*/")
    assert asked["allow_patterns"][-1] == "*/*.safetensors"
    assert (asked["revision"], asked["local_files_only"]) == ("abc", False)
    assert not any("bin" in pattern or "ckpt" in pattern for pattern in asked["allow_patterns"])
