"""Weights not at work leave the device, here the CPU itself, and the picture is the same."""

from __future__ import annotations

import pytest
import torch
from diffusers import ControlNetModel

from removal import load_remover
from removal.checkpoints.known import look_up
from removal.methods import controlnet
from removal.options import Options
from removal.painting.device_hook import OneStepAtATime
from removal.painting.offloading import offloaded, working_device
from removal.weights import devices

OPTIONS = {"steps": 2, "batch_size": 2, "offline": True, "device": "cpu"}


@pytest.fixture
def moves(monkeypatch):
    """The classes of the networks that were brought and sent away, in pairs of (class, how many networks are there)."""
    seen: list[tuple[str, list[str]]] = []
    bring = OneStepAtATime._bring

    def noted(hook, step):
        before = [type(one).__name__ for one in hook.there]
        bring(hook, step)
        seen.append((" + ".join(type(one).__name__ for one in step), before))

    monkeypatch.setattr(OneStepAtATime, "_bring", noted)
    return seen


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("inpainting", {}),
        ("plain", {"prompt": "wood"}),
        ("xl", {}),
        ("plain-xl", {"prompt": "wood"}),
        ("plain", {"attention": "hole"}),
        ("plain", {"method": "attentive"}),
    ],
)
def test_it_is_the_same_picture_bit_for_bit(tiny, job, kind, more):
    there = load_remover(str(tiny(kind)), offload="off", **more, **OPTIONS)
    leaving = load_remover(str(tiny(kind)), offload="on", **more, **OPTIONS)
    assert offloaded(leaving.paint.pipeline.unet)
    assert not offloaded(there.paint.pipeline.unet)
    assert all((one == other).all() for one, other in zip(there(*job), leaving(*job), strict=True))
    assert leaving.choice == there.choice  # and so its rows


def test_the_unet_and_the_autoencoder_take_turns_on_the_device_and_are_never_there_together(tiny, job, moves):
    remover = load_remover(str(tiny("plain")), offload="on", **OPTIONS | {"steps": 7})
    remover(*job)
    unet, vae = "UNet2DConditionModel", "AutoencoderKL"
    assert moves == [(vae, []), (unet, [vae]), (vae, [unet]), (unet, [vae]), (vae, [unet])]


def test_a_controlnet_is_there_together_with_the_unet(tiny, tmp_path, moves, job):
    torch.manual_seed(0)
    folder = tiny("plain")
    unet = load_remover(str(folder), **OPTIONS).paint.pipeline.unet
    ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16, 16)).save_pretrained(tmp_path)
    results = []
    for offload in ("off", "on"):
        options = Options(**OPTIONS | {"steps": 8, "offload": offload})
        paint = controlnet.load(look_up(str(folder)), options, controlnet=str(tmp_path))
        results.append(paint.pipeline)
    assert working_device(results[1].unet) == torch.device("cpu")
    hook = results[1].unet._hf_hook
    assert hook is results[1].pipeline.controlnet._hf_hook is results[1].vae._hf_hook
    hook.pre_forward(results[1].vae)
    hook.pre_forward(results[1].pipeline.controlnet)
    hook.pre_forward(results[1].unet)
    assert moves == [("AutoencoderKL", []), ("UNet2DConditionModel + ControlNetModel", ["AutoencoderKL"])]


def test_text_encoders_are_on_the_device_before_all_others_and_are_released(tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("CLEANPLATE_CACHE", str(tmp_path))  # where no embeddings are
    remover = load_remover(str(tiny("xl")), offload="on", **OPTIONS | {"steps": 9})
    pipeline = remover.paint.pipeline
    assert (pipeline.text_encoder, pipeline.text_encoder_2) == (None, None)
    held = [type(one).__name__ for step in pipeline.unet._hf_hook.steps for one in step]
    assert held == ["UNet2DConditionModel", "AutoencoderKL"]


def test_a_network_too_large_for_the_device_leaves_nothing_there(tiny):
    pipeline = load_remover(str(tiny("plain")), offload="on", **OPTIONS | {"steps": 10}).paint.pipeline
    hook, moved = pipeline.unet._hf_hook, []

    class Large(torch.nn.Linear):
        def to(self, device):
            moved.append(str(device))
            if len(moved) == 1:
                raise torch.OutOfMemoryError("out of memory")
            return super().to(device)

    large = Large(1, 1)
    hook.steps.append([large])
    hook.pre_forward(pipeline.vae)
    with pytest.raises(torch.OutOfMemoryError):
        hook.pre_forward(large)
    assert hook.there == []
    assert moved == ["cpu", "cpu"]  # the device, and away from it
    hook.pre_forward(large)
    assert hook.there == [large]


@pytest.mark.parametrize(("bytes_there", "leaves"), [(8e9, True), (11.7e9, True), (12.6e9, False), (80e9, False)])
def test_by_itself_weights_leave_devices_of_less_than_12_gigabytes(monkeypatch, tiny, bytes_there, leaves):
    monkeypatch.setattr(devices, "memory_of", lambda device: bytes_there)
    remover = load_remover(str(tiny("inpainting")), **OPTIONS | {"steps": 3, "context": 1 + bytes_there / 1e11})
    assert offloaded(remover.paint.pipeline.unet) == leaves


def test_a_cpu_has_no_memory_of_its_own_to_leave(tiny):
    remover = load_remover(str(tiny("inpainting")), **OPTIONS | {"steps": 3})
    assert not offloaded(remover.paint.pipeline.unet)


def test_weights_that_leave_are_not_compiled_and_that_is_said(tiny):
    with pytest.warns(UserWarning, match="not compiled and works slower: its weights leave the device"):
        remover = load_remover(str(tiny("plain")), compile="on", offload="on", **OPTIONS | {"steps": 5})
    assert remover.choice.reason.endswith("not compiled: its weights leave the device (--offload)")
    assert not remover.whole_batches
