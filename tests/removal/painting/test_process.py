"""A removal on its way: a picture after every step, of which the last is the result."""

from __future__ import annotations

import numpy as np
import pytest

from removal import load_remover
from removal.checkpoints.known import look_up
from removal.choice import choose
from removal.crops.crop import cut
from removal.crops.remover import CropRemover
from removal.methods import attentive, controlnet
from removal.options import Options
from removal.painting.autoencoder import decode
from removal.painting.process import _painted
from removal.painting.tensors import to_images

KINDS = ("inpainting", "plain", "xl", "attentive", "attentive-xl", "controlnet")
STEPS = 4


@pytest.fixture(scope="module")
def control(tiny, tmp_path_factory):
    """The folder of a ControlNet for the plain checkpoint."""
    from diffusers import ControlNetModel, UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(tiny("plain"), subfolder="unet")
    saved = tmp_path_factory.mktemp("control")
    ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 4, 8)).save_pretrained(saved)
    return str(saved)


@pytest.fixture
def remover(tiny, control):
    """A function that loads the remover of one of KINDS."""

    def load(kind: str, batch_size: int = 2, **options) -> CropRemover:
        checkpoint = str(
            tiny({"attentive": "plain", "attentive-xl": "plain-xl", "controlnet": "plain"}.get(kind, kind))
        )
        given = Options(**{"steps": STEPS, "offline": True, "device": "cpu"} | options)
        if kind == "controlnet":
            return CropRemover(
                choose(checkpoint), controlnet.load(look_up(checkpoint), given, control), 2.0, batch_size
            )
        if kind.startswith("attentive"):
            return CropRemover(choose(checkpoint), attentive.load(look_up(checkpoint), given), 2.0, batch_size)
        return load_remover(checkpoint, steps=STEPS, offline=True, device="cpu", batch_size=batch_size, **options)

    return load


@pytest.fixture
def apart(picture):
    """A picture and a mask with three objects so far apart that each gets a crop of its own."""
    image, mask = picture(90, 200), np.zeros((90, 200), bool)
    mask[10:18, 8:20] = True
    mask[60:70, 90:99] = True
    mask[30:35, 180:200] = True
    return image, mask


def passes(remove: CropRemover, image: np.ndarray, mask: np.ndarray) -> tuple[list[np.ndarray], int]:
    """The frames, and how often the UNet was called for them."""
    calls: list[int] = []
    hook = remove.paint.pipeline.unet.register_forward_pre_hook(lambda *_: calls.append(1))
    frames = list(remove.process(image, mask, 7))
    hook.remove()
    return frames, len(calls)


@pytest.mark.parametrize("kind", KINDS)  # of them Attentive Eraser has a callback of its own, which counts its steps
def test_there_is_a_frame_for_every_step_taken_and_the_last_is_the_result(remover, apart, kind):
    remove, (image, mask) = remover(kind, batch_size=3), apart
    frames, calls = passes(remove, image, mask)
    assert len(frames) == calls == int(STEPS * remove.strength)
    assert (frames[-1] == remove([image], [mask], [7])[0]).all()
    for before, frame in zip([image, *frames], frames, strict=False):
        assert (frame.shape, frame.dtype) == (image.shape, np.uint8)
        assert (frame != before).any()


@pytest.mark.parametrize("kind", KINDS)
def test_only_masked_pixels_differ_in_any_frame_and_the_image_stays_as_it_was(remover, apart, kind):
    image, mask = apart
    before = image.copy()
    for frame in remover(kind).process(image, mask, 7):
        assert (frame[~mask] == before[~mask]).all()
        assert not np.shares_memory(frame, image)
    assert (image == before).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("attention", ["plain", "hole"])
def test_afterwards_the_remover_is_as_it_was(remover, apart, kind, attention):
    remove, (image, mask) = remover(kind, attention=attention), apart
    processors = remove.paint.pipeline.unet.attn_processors
    (expected,) = remove([image], [mask], [7])
    for _ in remove.process(image, mask, 7):
        pass
    assert remove.paint.pipeline.unet.attn_processors == processors
    assert (remove([image], [mask], [7])[0] == expected).all()


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_objects_far_apart_advance_together_in_any_batches(remover, apart, batch_size):
    remove, (image, mask) = remover("plain", batch_size=batch_size), apart
    frames = list(remove.process(image, mask, 7))
    for place in (np.s_[:, :50], np.s_[:, 50:150], np.s_[:, 150:]):
        assert all((a[place] != b[place]).any() for a, b in zip([image, *frames], frames, strict=False))
    together = list(remover("plain", batch_size=3).process(image, mask, 7))
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(frames, together, strict=True))


def test_it_goes_from_noise_to_the_clean_plate(scenes):
    remove, scene = load_remover("bundled", steps=8, offline=True, device="cpu"), scenes[0]
    frames = [frame[scene.mask].astype(int) for frame in remove.process(scene.image, scene.mask, 7)]
    errors = [np.abs(frame - scene.truth[scene.mask]).mean() for frame in frames]
    assert errors[0] > 25
    assert errors[-1] < 10


@pytest.mark.parametrize("kind", KINDS)
def test_the_latents_after_the_last_step_are_those_of_the_patches(remover, apart, kind):
    remove, (image, mask) = remover(kind), apart
    ((latents, patch),) = _painted(remove.paint, [cut(image, mask, remove.paint.resolution)], [7])
    (shown,) = to_images(decode(remove.paint.pipeline.vae, latents[-1:]))
    assert np.abs(shown.astype(int) - patch).max() <= 1


def test_an_empty_mask_has_no_steps(remover, picture):
    assert list(remover("plain").process(picture(40, 40), np.zeros((40, 40), bool), 7)) == []


def test_a_mask_of_another_size_is_refused(remover, picture):
    with pytest.raises(ValueError, match="does not fit"):
        next(remover("plain").process(picture(40, 40), np.ones((30, 40), bool), 7))


def test_telea_has_one_frame_its_result(apart):
    image, mask = apart
    remove = load_remover(method="telea")
    (frame,) = remove.process(image, mask, 7)
    assert (frame == remove([image], [mask], [7])[0]).all()
