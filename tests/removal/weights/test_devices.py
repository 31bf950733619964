"""One way to choose devices and precision, for segmenters and removers."""

from __future__ import annotations

import pytest
import torch

from removal.weights.devices import (
    as_many_as_fit,
    autoencoder_precision,
    devices,
    precision,
    release_memory,
    weights_leave,
)


@pytest.mark.parametrize(
    ("asked", "gpus", "found"),
    [
        ("auto", 0, ["cpu"]),
        ("auto", 2, ["cuda:0", "cuda:1"]),
        ("cuda", 1, ["cuda:0"]),
        ("cuda", 0, ["cuda"]),  # which torch then refuses in its own words
        ("cpu", 2, ["cpu"]),
        ("cuda:1,cpu", 2, ["cuda:1", "cpu"]),
    ],
)
def test_devices_are_those_that_are_named_or_all_gpus_or_the_cpu(monkeypatch, asked, gpus, found):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert devices(asked) == found


@pytest.mark.parametrize(
    ("asked", "there", "found"),
    [
        ("xpu", {"xpu": 2}, ["xpu:0", "xpu:1"]),
        ("xpu", {}, ["xpu"]),
        ("mps", {"mps": 1}, ["mps"]),
        ("xpu:1,cpu", {"xpu": 2}, ["xpu:1", "cpu"]),
        ("auto", {"xpu": 1, "mps": 1}, ["cpu"]),  # they were not tried
        ("auto", {"xpu": 1, "cuda": 1}, ["cuda:0"]),
    ],
)
def test_the_devices_of_other_makers_are_used_where_they_are_named(monkeypatch, asked, there, found):
    for kind in ("cuda", "xpu"):
        monkeypatch.setattr(getattr(torch, kind), "is_available", lambda kind=kind: kind in there)
        monkeypatch.setattr(getattr(torch, kind), "device_count", lambda kind=kind: there.get(kind, 0))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in there)
    assert devices(asked) == found


def test_what_torch_keeps_of_a_devices_memory_is_given_back_where_that_device_is(monkeypatch):
    given_back = []
    for kind in ("cuda", "xpu", "mps"):
        monkeypatch.setattr(getattr(torch, kind), "empty_cache", lambda kind=kind: given_back.append(kind))
    monkeypatch.setattr(torch.xpu, "is_available", lambda: True)
    monkeypatch.setattr(torch.xpu, "device_count", lambda: 1)
    release_memory()
    assert given_back == ["xpu"]


@pytest.mark.parametrize(
    ("asked", "device", "network", "has_bfloat16", "found"),
    [
        ("auto", "cpu", "unet", True, torch.float32),
        ("auto", "cuda:0", "unet", True, torch.bfloat16),
        ("auto", "cuda:0", "unet", False, torch.float16),
        ("auto", "cpu", "encoder", True, torch.float32),
        ("auto", "cuda", "encoder", True, torch.bfloat16),
        ("auto", "cuda", "encoder", False, torch.float32),  # SAM's overflows in float16
        ("auto", "mps", "unet", True, torch.float32),  # not measured
        ("float16", "cpu", "encoder", True, torch.float16),
    ],
)
def test_auto_is_full_precision_on_a_cpu_and_bfloat16_on_a_gpu_that_has_it(
    monkeypatch, asked, device, network, has_bfloat16, found
):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: has_bfloat16)
    assert precision(asked, device, network) == found


@pytest.mark.parametrize(
    ("unet", "device", "overflows", "found"),
    [
        (torch.bfloat16, "cuda:0", False, torch.float16),
        (torch.bfloat16, "cuda", True, torch.float32),
        (torch.float16, "cuda", False, torch.float16),
        (torch.float16, "cuda", True, torch.float32),
        (torch.float32, "cuda", False, torch.float32),
        (torch.bfloat16, "cpu", False, torch.float32),
        (torch.float16, "mps", False, torch.float32),
    ],
)
def test_an_autoencoder_is_never_in_bfloat16_and_in_float16_only_on_a_gpu_where_it_cannot_overflow(
    unet, device, overflows, found
):
    assert autoencoder_precision(unet, device, overflows) == found


@pytest.mark.parametrize(
    ("asked", "memory", "leave"),
    [("auto", 8e9, True), ("auto", 12e9, False), ("on", 80e9, True), ("off", 8e9, False)],
)
def test_weights_leave_a_small_gpu_or_where_that_is_asked(monkeypatch, asked, memory, leave):
    class Properties:
        total_memory = memory

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    assert weights_leave(asked, "cuda:1") == leave
    assert weights_leave(asked, "cpu") == (asked == "on")


def test_offload_is_auto_on_or_off():
    with pytest.raises(ValueError, match="offload is auto, on or off, not 'yes'"):
        weights_leave("yes", "cpu")


def test_a_batch_holds_at_least_one_picture():
    pixels = {"cpu": 100**2, "cuda": 400**2}
    asked = ("cpu", "cuda", "cuda:3", "xpu:0", "mps")
    assert [as_many_as_fit(pixels, device, 200) for device in asked] == [1, 4, 4, 1, 1]
