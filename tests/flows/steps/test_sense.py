"""Masks that make no sense, and results that are none: refused with what to do about it, and never published."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flows.formats.encoding import encode_image
from flows.run import run
from removal import choose
from removal.painting.blank import Blank, refuse_black
from removal.painting.tensors import to_images
from tests.flows.small import HEIGHT, WIDTH, image, mask, mask_in, rows, small

SHAPE = (HEIGHT, WIDTH)


def grey(levels: np.ndarray, container: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    Image.fromarray(levels.astype(np.uint8)).save(out, container, **options)
    return out.getvalue()


WHITE = mask() * 255
MASKS = {
    "everything": (grey(np.full(SHAPE, 255)), "failed", "covers 100% of the picture"),
    "inverted by mistake": (grey(255 - WHITE), "failed", "are black and white swapped?"),
    "nothing": (grey(np.zeros(SHAPE)), "nothing found", "its mask is empty"),
    "of two greys": (grey(mask() * 100), "removed", ""),
    "so soft that nothing is meant": (grey(np.arange(24)[:, None] * 4 + np.arange(32) % 4), "failed", "0, 1, 2, 3, 4"),
    "of another size": (grey(np.full((9, 5), 255)), "failed", "is 5×9 pixels, the upright picture 32×24"),
    "turned": (grey(WHITE.T), "failed", "is 24×32 pixels, the upright picture 32×24"),
    "empty file": (b"", "failed", "the file is empty"),
    "no picture": (b"mask", "failed", "cannot be read"),
    "a bomb": (grey(np.zeros((300, 300))), "failed", "they must be the same"),
    "soft at its edge": (grey(np.minimum(WHITE, 200)), "removed", ""),
    "of JPEG": (grey(WHITE, "JPEG", quality=60), "removed", ""),
    "of 98% opacity": (grey(np.where(mask(), 250, 5)), "removed", ""),
    "of 0 and 1, as numpy saves it": (grey(mask() * 1), "removed", ""),
    "in colour": (encode_image(np.where(mask()[..., None], [255, 0, 0], 0).astype(np.uint8)), "removed", ""),
    "1-bit": (grey(WHITE), "removed", ""),
}


@pytest.mark.parametrize("kind", MASKS)
def test_a_mask_that_makes_no_sense_is_refused_with_a_reason_and_any_other_is_understood(tmp_path, kind):
    data, status, because = MASKS[kind]
    job = small(tmp_path, 1)
    (tmp_path / "masks" / "p00.png.png").write_bytes(data)
    run(job)
    row = rows(job.target)["p00.png"]
    assert row["status"] == status, row["reason"]
    assert because in row["reason"]
    if status == "removed":
        assert (mask_in(job.target, "p00.png") == mask()).mean() > 0.98


def test_a_mask_made_by_hand_that_covers_too_much_is_refused_as_any_other(tmp_path):
    job = small(tmp_path, 1)
    run(job)
    (Path(job.target) / "masks" / "p00.png.png").write_bytes(grey(255 - WHITE))
    run(job)
    row = rows(job.target)["p00.png"]
    assert row["status"] == "failed"
    assert "are black and white swapped?" in row["reason"]
    assert not (Path(job.target) / "images" / "p00.png").exists()


class Giving:
    """A remover that gives a colour."""

    choice, steps, strength = choose("sd15", "telea"), None, None

    def __init__(self, level: int):
        self.level = level

    def __call__(self, images, masks, seeds):
        return [np.where(m[..., None], self.level, one).astype(np.uint8) for one, m in zip(images, masks, strict=True)]


def test_a_model_that_gives_black_fails_its_picture_and_nothing_is_published(tmp_path, monkeypatch):
    job = small(tmp_path, 2)
    monkeypatch.setattr("flows.steps.remove_masked.load_remover", lambda *_, **__: Giving(0))
    run(job)
    assert {row["status"] for row in rows(job.target).values()} == {"failed"}
    assert "black" in rows(job.target)["p00.png"]["reason"]
    assert not list(Path(job.target).glob("images/*"))


@pytest.mark.parametrize(
    ("brightness", "level", "refused"), [(1.0, 0, True), (1.0, 2, True), (1.0, 40, False), (0.05, 0, False)]
)
def test_black_in_the_night_is_no_failure(brightness, level, refused):
    seen = (image() * brightness).astype(np.uint8)
    result = np.where(mask()[..., None], level, seen).astype(np.uint8)
    if refused:
        with pytest.raises(Blank, match="gave black"):
            refuse_black(seen, mask(), result)
    else:
        refuse_black(seen, mask(), result)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_never_cast_to_a_colour(value):
    tensors = torch.full((2, 3, 4, 4), 0.5)
    assert len(to_images(tensors)) == 2
    tensors[1, 2, 3, 3] = value
    with pytest.raises(Blank, match="NaN"):
        to_images(tensors)


def test_a_real_model_that_overflows_fails_its_picture(tmp_path, monkeypatch):
    """The bundled model, one weight of whose decoder is NaN."""
    from removal import load_remover
    from removal.removers import _load

    _load.cache_clear()
    remover = load_remover("bundled", steps=2)
    with torch.no_grad():
        next(iter(remover.paint.pipeline.vae.decoder.parameters())).fill_(float("nan"))
    try:
        job = small(tmp_path, 2, method="auto", steps=2)
        run(job)
        assert {row["status"] for row in rows(job.target).values()} == {"failed"}
        assert "NaN" in rows(job.target)["p00.png"]["reason"]
        assert not list(Path(job.target).glob("images/*"))
    finally:
        _load.cache_clear()
