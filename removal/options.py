"""The options of a remover, each with its default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from removal.weights.devices import devices, precision

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Options:
    """The options of a remover.

    `strength` is 0..1 (None: what suits the method), `context` the crop's side in mask boxes, `attention` is `hole` or
    `plain`. `prefill` says what fills holes before they are encoded: `patchmatch`, `lama` or `none` (True and False
    are the first and the last). With a `prompt` the hole is filled with what it says, led there by `guidance` (None: 1
    without a prompt, 7.5 with one). `compile` is `on`, `off` or `auto`, and so is
    `offload`: whether weights that are not at work leave the device. `lora` are added to the
    weights, each a path or hub id with `:WEIGHT` or without; one for LCM also sets the scheduler and no more than 8
    steps. `vae` is another autoencoder: `taesd`, a folder or a hub id.
    """

    method: str = "auto"
    steps: int = 20
    strength: float | None = None
    prefill: str | bool = "patchmatch"
    attention: str = "plain"
    prompt: str = ""
    guidance: float | None = None
    context: float = 2.0
    lora: tuple[str, ...] = ()
    vae: str = ""
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int | str = "auto"
    compile: str = "auto"
    offload: str = "auto"
    revision: str | None = None
    offline: bool = False
    accept_license: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.prefill, bool):
            object.__setattr__(self, "prefill", "patchmatch" if self.prefill else "none")

    def devices(self) -> list[str]:
        """The names of the devices to use: those that `device` lists, or all GPUs for `cuda`, and `auto` if any."""
        return devices(self.device)

    def torch_device(self) -> torch.device:
        import torch

        return torch.device(self.devices()[0])

    def torch_dtype(self) -> torch.dtype:
        return precision(self.dtype, self.devices()[0])
