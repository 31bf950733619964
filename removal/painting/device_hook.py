"""The hook by which the networks of a pipeline take turns on a small device, by accelerate."""

from __future__ import annotations

from typing import Any

import torch
from accelerate.hooks import ModelHook
from accelerate.utils.memory import clear_device_cache


class OneStepAtATime(ModelHook):
    """The hook of all networks of a pipeline: before a network is called, it is moved to the device, with those that
    work with it.

    `steps` are the networks that work together, in any order. Only the networks of one step are on the device, the
    others in the processor's memory.
    """

    def __init__(self, device: torch.device, steps: list[list[torch.nn.Module]]):
        self.execution_device = device  # by this name diffusers asks for it
        self.steps = steps
        self.there: list[torch.nn.Module] = []

    def pre_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if not any(module is one for one in self.there):
            self._bring(next(step for step in self.steps if any(module is one for one in step)))
        return args, kwargs

    def _bring(self, step: list[torch.nn.Module]) -> None:
        _move(self.there, torch.device("cpu"))
        self.there = []
        clear_device_cache()
        try:
            _move(step, self.execution_device)
        except BaseException:  # there is too little memory even for it
            _move(step, torch.device("cpu"))
            raise
        self.there = step


def _move(networks: list[torch.nn.Module], device: torch.device) -> None:
    for network in networks:
        network.to(device)
