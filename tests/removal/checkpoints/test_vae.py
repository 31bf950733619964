"""Another autoencoder than the checkpoint's own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from removal import load_remover
from removal.checkpoints.known import look_up
from removal.checkpoints.vae import autoencoder
from removal.crops.crop import Crop, cut
from removal.options import Options
from removal.painting import pipelines
from removal.weights.hub import Unavailable

ON_CPU = {"offline": True, "device": "cpu", "steps": 2}


@pytest.fixture(scope="module")
def taesd(tmp_path_factory) -> str:
    """A tiny TAESD in the layout of the real one, with as many halvings as the tiny checkpoints."""
    return _saved(tmp_path_factory.mktemp("taesd"), (8, 8, 8))


def _saved(folder, widths: tuple[int, ...]) -> str:
    from diffusers import AutoencoderTiny

    torch.manual_seed(0)
    blocks = (1,) * len(widths)
    AutoencoderTiny(
        encoder_block_out_channels=widths,
        decoder_block_out_channels=widths,
        num_encoder_blocks=blocks,
        num_decoder_blocks=blocks,
    ).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def crops(picture) -> list[Crop]:
    mask = np.zeros((32, 32), bool)
    mask[8:20, 8:20] = True
    return [cut(picture(32, 32), mask, 32), cut(picture(33, 32)[1:], mask, 32)]


def load(folder, **options) -> pipelines.Painter:
    checkpoint = look_up(str(folder))
    return pipelines.load(checkpoint, Options(**ON_CPU | options), checkpoint.in_channels)


@pytest.mark.parametrize("strength", [1.0, 0.6])
@pytest.mark.parametrize("kind", ["inpainting", "plain", "xl"])
def test_taesd_encodes_and_decodes_as_in_a_stock_pipeline(tiny, taesd, crops, kind, strength):
    """Which is given the pictures themselves."""
    painter = load(tiny(kind), vae=taesd, strength=strength)
    assert type(painter.pipeline.vae).__name__ == "AutoencoderTiny"
    ours, stock = painter(crops, [1, 2]), replace(painter, encoded=False)(crops, [1, 2])
    assert all(np.abs(one.astype(int) - other).max() <= 1 for one, other in zip(ours, stock, strict=True))
    assert (ours[0] != load(tiny(kind), strength=strength)(crops, [1, 2])[0]).any()


def test_only_masked_pixels_change(tiny, taesd, picture):
    image, mask = picture(40, 50), np.zeros((40, 50), bool)
    mask[10:20, 12:30] = True
    (result,) = load_remover(str(tiny("plain")), vae=taesd, **ON_CPU)([image], [mask], [1])
    assert (result[~mask] == image[~mask]).all()


def test_an_autoencoder_of_the_checkpoints_own_kind_fits_too(tiny, crops):
    """As sdxl-vae-fp16-fix: a folder with a config and weights."""
    own = load(tiny("xl"))(crops, [1, 2])
    given = load(tiny("xl"), vae=str(tiny("xl") / "vae"))(crops, [1, 2])
    assert all((one == other).all() for one, other in zip(own, given, strict=True))


def test_one_with_half_precision_weights_alone_is_taken(tiny, crops, tmp_path):
    from diffusers import AutoencoderTiny

    folder = _saved(tmp_path / "plain", (8, 8, 8))
    AutoencoderTiny.from_pretrained(folder).half().save_pretrained(tmp_path / "half", variant="fp16")
    assert load(tiny("plain"), vae=str(tmp_path / "half")).pipeline.vae.dtype == torch.float32


def test_one_that_shrinks_pictures_otherwise_is_refused(tiny, tmp_path):
    with pytest.raises(ValueError, match="8 pixels to a latent cell, and the checkpoint's own has 4"):
        load(tiny("plain"), vae=_saved(tmp_path, (8, 8, 8, 8)))


@pytest.mark.parametrize("place", ["./nowhere", "/nowhere", "nowhere"])
def test_one_that_is_not_there_is_named(tiny, place):
    with pytest.raises(ValueError, match=f"there is no autoencoder at {place}; give taesd"):
        load(tiny("plain"), vae=place)


def test_another_network_is_refused(tiny):
    with pytest.raises(ValueError, match="is not an autoencoder for Stable Diffusion"):
        load(tiny("plain"), vae=str(tiny("plain") / "unet"))


def test_taesd_by_name_is_the_one_of_the_family(tiny, no_network):
    for kind, repo in (("plain", "madebyollin/taesd "), ("xl", "madebyollin/taesdxl ")):
        with pytest.raises(Unavailable, match=f"{repo}is not in the hub's cache"):
            load(tiny(kind), vae="taesd")


@pytest.mark.parametrize("said", ["[]", "null", '{"_class_name": []}', '{"_class_name": "AutoencoderKL", ', ""])
def test_a_folder_whose_config_is_no_autoencoders_is_refused_in_words(tmp_path, said):
    (tmp_path / "config.json").write_text(said)
    with pytest.raises(ValueError, match=r"fetch the model again|is not an autoencoder for Stable Diffusion"):
        autoencoder(str(tmp_path), "sd15", torch.float32)
