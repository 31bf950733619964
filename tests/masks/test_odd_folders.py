"""A folder of weights whose settings are missing or are none: what is said of it."""

from __future__ import annotations

import shutil

import pytest

from masks import load_segmenter
from masks.segmenters import BUNDLED

FAULTS = {
    "absent": None,
    "cut off": '{"image_size": 1',
    "a list": "[]",
    "nothing": "{}",
    "other's": '{"model_type": "bert"}',
}
NAMES = {
    "clipseg": "clipseg:{}",
    "dino": "grounded-sam:{sam}+{}",
    "mm_dino": "llmdet-sam:{sam}+{}",
    "owlv2": "owlv2-sam:{sam}+{}",
    "rf_detr": "rf-detr:{}",
    "sam": "sam:{}",
    "sam2": "sam2:{}",
    "sam3": "sam3:{}",
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", NAMES)
def test_a_folder_with_odd_settings_is_refused_by_its_name(request, tmp_path, kind, fault):
    own = BUNDLED / kind if kind in ("clipseg", "sam") else request.getfixturevalue(kind)
    folder = tmp_path / "weights"
    shutil.copytree(own, folder)
    (folder / "config.json").unlink()
    if FAULTS[fault] is not None:
        (folder / "config.json").write_text(FAULTS[fault])
    with pytest.raises((OSError, ValueError)) as raised:
        load_segmenter(NAMES[kind].format(folder, sam=BUNDLED / "sam"), device="cpu")
    assert str(folder) in str(raised.value)


@pytest.mark.parametrize("kind", ["owlv2", "rf_detr", "sam2", "sam3"])
def test_no_network_is_made_of_settings_that_are_another_ones(request, tmp_path, monkeypatch, kind):
    """Without settings the library would make one of full size: gigabytes, only to refuse it."""
    from removal.weights import networks

    monkeypatch.setattr(networks, "strict", lambda *_, **__: pytest.fail("a network was made"))
    folder = tmp_path / "weights"
    shutil.copytree(request.getfixturevalue(kind), folder)
    for text in ("{}", '{"model_type": "bert"}'):
        (folder / "config.json").write_text(text)
        with pytest.raises(ValueError, match="model_type"):
            load_segmenter(NAMES[kind].format(folder, sam=BUNDLED / "sam"), device="cpu")
