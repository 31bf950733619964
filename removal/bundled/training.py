"""What every training run of the bundled checkpoints shares: a resumable loop with progress and averaged weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

SAVE_EVERY = 250  # steps; a killed run repeats at most so many


@dataclass(frozen=True)
class Schedule:
    """Steps, batch size and peak learning rate of one run. The rate warms up for 50 steps and falls as a cosine."""

    steps: int
    batch: int
    rate: float
    average: float = 0.997

    def rate_at(self, step: int) -> float:
        return self.rate * min(1.0, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / self.steps)))


def fit(
    name: str,
    model: torch.nn.Module,
    loss_at: Callable[[int], torch.Tensor],
    schedule: Schedule,
    folder: Path,
    log: Callable[[str], None] = print,
) -> torch.nn.Module:
    """Train `model` on `loss_at(step)` and return it with the running average of its weights.

    Steps draw their randomness from the step's number alone, so a run that was killed and resumed sees the same data.
    State goes to `folder/NAME.pt` every SAVE_EVERY steps, whole or not at all.
    """
    state_file = folder / f"{name}.pt"
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=schedule.rate, weight_decay=1e-4)
    average = {key: value.detach().clone() for key, value in model.state_dict().items()}
    step, recent = 0, 0.0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        average, step, recent = state["average"], state["step"], state["recent"]
    began, first = time.monotonic(), step
    model.train()
    while step < schedule.steps:
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate_at(step)
        loss = loss_at(step)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        keep = min(schedule.average, (step + 1) / (step + 30))
        for key, value in model.state_dict().items():
            average[key].lerp_(value, 1 - keep) if value.is_floating_point() else average[key].copy_(value)
        recent = loss.item() if step == 0 else 0.98 * recent + 0.02 * loss.item()
        step += 1
        if step % 50 == 0 or step == schedule.steps:
            left = (time.monotonic() - began) / (step - first) * (schedule.steps - step)
            log(f"{name}: step {step} of {schedule.steps}, loss {recent:.4f}, {left / 60:.0f} min left")
        if step % SAVE_EVERY == 0 or step == schedule.steps:
            state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "average": average}
            _save(state | {"step": step, "recent": recent}, state_file)
    model.load_state_dict(average)
    return model.eval()


def _save(state: dict, file: Path) -> None:
    part = file.with_suffix(".part")
    torch.save(state, part)
    part.replace(file)
