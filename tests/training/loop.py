"""What every training run of the bundled checkpoints shares: a resumable loop with progress and averaged weights."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

SAVE_EVERY = 250  # steps; a killed run repeats at most so many
LOG_EVERY = 50


@dataclass(frozen=True)
class Schedule:
    """Steps, batch size and peak learning rate of one run. The rate warms up for 50 steps and falls as a cosine.

    `scenes` is how many are drawn to learn from, at a time. `stop` ends the run early, on the same curve; `keep` puts
    the averaged weights of that step aside, for a comparison at equal steps.
    """

    steps: int
    batch: int
    rate: float
    scenes: int
    seed: int = 0
    average: float = 0.997
    stop: int | None = None
    keep: int | None = None

    @property
    def last(self) -> int:
        return self.steps if self.stop is None else self.stop

    def random(self, step: int) -> torch.Generator:
        """The step's own randomness: a resumed run goes on as if it had not stopped."""
        return torch.Generator().manual_seed(1_000_000 * self.seed + step)

    def rate_at(self, step: int) -> float:
        return self.rate * min(1.0, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / self.steps)))


@dataclass(frozen=True)
class Lesson:
    """What one run learns: `batch_at(step)` gives columns of equal length, `loss_of(model, *columns)` their mean loss.

    Tensors among the columns reach `loss_of` on the model's device.
    """

    batch_at: Callable[[int], Sequence[Any]]
    loss_of: Callable[..., torch.Tensor]


def fit(
    name: str,
    model: torch.nn.Module,
    lesson: Lesson,
    schedule: Schedule,
    folder: Path,
    log: Callable[[str], None] = print,
) -> torch.nn.Module:
    """Train `model` where it is and return it with the running average of its weights.

    A run that was killed and resumed sees the same data. State goes to `folder/NAME.pt` every SAVE_EVERY steps, whole
    or not at all; losses to `folder/NAME.jsonl`. On a CPU each processor thread takes its share of the batch.
    """
    state_file, shares = folder / f"{name}.pt", Shares(next(model.parameters()).device)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=schedule.rate, weight_decay=1e-4)
    average = {key: value.detach().clone() for key, value in model.state_dict().items()}
    step, recent = 0, 0.0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True, map_location=shares.device)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        average, step, recent = state["average"], state["step"], state["recent"]
    began, first = time.monotonic(), step
    model.train()
    while step < schedule.last:
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate_at(step)
        optimiser.zero_grad()
        loss = shares.backward(model, lesson, step)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        _follow(average, model, min(schedule.average, (step + 1) / (step + 30)))
        recent = loss if step == 0 else 0.98 * recent + 0.02 * loss
        step += 1
        if step % LOG_EVERY == 0 or step == schedule.last:
            left = (time.monotonic() - began) / (step - first) * (schedule.last - step)
            log(f"{name}: step {step:,} of {schedule.last:,}, loss {recent:.4f}, {_clock(left)} left")
            with (folder / f"{name}.jsonl").open("a") as lines:
                lines.write(json.dumps({"step": step, "loss": round(recent, 5)}) + "\n")
        if step == schedule.keep:
            _save(average, folder / f"{name}-{step}.pt")
        if step % SAVE_EVERY == 0 or step == schedule.last:
            state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "average": average}
            _save(state | {"step": step, "recent": recent}, state_file)
    model.load_state_dict(average)
    return model.eval()


class Shares:
    """Runs a step's batch forward and back, in as many equal parts at once as torch has threads on a CPU.

    Networks this small leave a second thread idle inside an operation; whole parts keep both busy (1.5 times faster on
    two cores), and a busy neighbour slows them less than it slows a barrier at every operation.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.parts = torch.get_num_threads() if device.type == "cpu" else 1
        self.pool = ThreadPoolExecutor(self.parts, initializer=torch.set_num_threads, initargs=(1,))

    def backward(self, model: torch.nn.Module, lesson: Lesson, step: int) -> float:
        """Adds the batch's gradients to the model's and returns its mean loss."""
        columns = lesson.batch_at(step)
        cuts = [len(columns[0]) * k // self.parts for k in range(self.parts + 1)]

        def one(k: int) -> float:
            rows = slice(cuts[k], cuts[k + 1])
            given = [c[rows].to(self.device) if isinstance(c, torch.Tensor) else c[rows] for c in columns]
            loss = lesson.loss_of(model, *given) * ((rows.stop - rows.start) / cuts[-1])
            loss.backward()
            return loss.item()

        return sum(self.pool.map(one, range(self.parts)))


def _follow(average: dict[str, torch.Tensor], model: torch.nn.Module, keep: float) -> None:
    for key, value in model.state_dict().items():
        average[key].lerp_(value, 1 - keep) if value.is_floating_point() else average[key].copy_(value)


def _clock(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"


def _save(state: dict, file: Path) -> None:
    part = file.with_suffix(".part")
    torch.save(state, part)
    part.replace(file)
