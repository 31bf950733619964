"""Weights that are not the ones shipped are named, not used."""

import shutil
from pathlib import Path

import pytest

from masks import load_segmenter, segmenters
from masks.bundled import sums as segmenters_sums
from removal import load_remover
from removal.bundled import sums
from removal.removers import _load

HERE = Path(sums.__file__).parent


@pytest.fixture
def exchanged(tmp_path, monkeypatch):
    """A copy of the bundled checkpoints, checked in place of the package's."""
    copy = tmp_path / "bundled"
    shutil.copytree(HERE, copy)
    monkeypatch.setattr(sums, "__file__", str(copy / "sums.py"))
    return copy


def test_the_weights_that_ship_are_the_ones_recorded(exchanged):
    for name in ("base", "inpainting", "style"):
        sums.check(exchanged / name)
    segmenters_sums.check()


@pytest.mark.parametrize("damage", [lambda f: f.write_bytes(f.read_bytes()[:-1] + b"x"), Path.unlink])
def test_a_damaged_or_missing_weight_file_is_named_with_what_to_do(exchanged, damage):
    file = exchanged / "inpainting/unet/diffusion_pytorch_model.safetensors"
    damage(file)
    with pytest.raises(OSError, match=r"(?s)unet/diffusion_pytorch_model.safetensors is not the file.*install Cleanpl"):
        sums.check(exchanged / "inpainting")
    sums.check(exchanged / "base")  # the others are whole


def test_the_bundled_remover_does_not_load_exchanged_weights(monkeypatch):
    def damaged(folder):
        raise OSError(f"{folder} is not the file that was shipped")

    monkeypatch.setattr(sums, "check", damaged)
    _load.cache_clear()
    with pytest.raises(OSError, match="inpainting is not the file that was shipped"):
        load_remover("bundled", device="cpu")
    _load.cache_clear()


def test_the_bundled_segmenter_does_not_load_exchanged_weights(tmp_path, monkeypatch):
    copy = tmp_path / "bundled"
    shutil.copytree(segmenters_sums.SUMS.parent, copy)
    (copy / "sam/sam.pth").write_bytes(b"something else")
    monkeypatch.setattr(segmenters_sums, "SUMS", copy / "SHA256SUMS")
    segmenters._load.cache_clear()
    with pytest.raises(OSError, match=r"sam\.pth is not the file"):
        load_segmenter("bundled", device="cpu")
