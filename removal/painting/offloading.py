"""Weights that are not at work leave a small device: of a pipeline's networks, those of one step are there at a time.

As diffusers' `enable_model_cpu_offload`, by accelerate's hooks, which the autoencoder's `encode` and `decode` call too.
Not by that function, since it lets a network leave only for the next one of a fixed order: with several batches, the
autoencoder that encodes would stay beside the UNet.
"""

from __future__ import annotations

from typing import Any

import torch


def offload(pipeline: Any, device: torch.device) -> None:
    """Move the networks of a pipeline, which are in the processor's memory, to the device only while they work.

    Its text encoders are not among them: they work once, before all others, and are then released.
    """
    from accelerate.hooks import add_hook_to_module

    from removal.painting.device_hook import OneStepAtATime

    together = [getattr(pipeline, name, None) for name in ("unet", "controlnet")]
    hook = OneStepAtATime(device, [[one for one in together if one is not None], [pipeline.vae]])
    for network in (one for step in hook.steps for one in step):
        add_hook_to_module(network, hook)


def offloaded(network: Any) -> bool:
    """True if a network is moved to its device only while it works."""
    return hasattr(network, "_hf_hook")


def working_device(network: Any) -> torch.device:
    """The device that a network works on, wherever it is at the moment."""
    return network._hf_hook.execution_device if offloaded(network) else network.device
