"""Chooses the checkpoint and the method of removal, and says why."""

from __future__ import annotations

from removal.checkpoints.known import look_up
from removal.checkpoints.presets import PRESETS, Checkpoint, Choice
from removal.methods.table import METHODS

FAMILIES = {"sd15": "Stable Diffusion 1.5", "sd2": "Stable Diffusion 2", "sdxl": "Stable Diffusion XL"}


def choose(
    model: str, method: str = "auto", revision: str | None = None, offline: bool = True, prompt: str = ""
) -> Choice:
    """Decide the checkpoint and the method for `model`: a preset, hub id, folder or `.safetensors` file.

    `in_channels` is read from the checkpoint's own config, never guessed from its name. With a prompt, a plain
    checkpoint is used itself rather than its inpainting sibling, since it has to draw. With `offline`, a hub id that is
    not in the table is looked up in the local cache only; unknown facts stay None. Raises ValueError for an impossible
    choice, FileNotFoundError for a missing path.
    """
    if method not in ("auto", *METHODS):
        raise ValueError(f"unknown method {method!r}; there are auto, {', '.join(METHODS)}")
    if method != "auto" and not METHODS[method].takes_weights:
        return Choice(model, Checkpoint(""), method, "filled without a model")
    checkpoint = look_up(model, revision, offline)
    if checkpoint.method:
        return _for_one_method(model, checkpoint, method, prompt)
    if method != "auto" and METHODS[method].alone:
        kind = METHODS[method].kind
        raise ValueError(f"--method {method} takes weights {kind}, and {model} has others; use --model {method}")
    if checkpoint.in_channels not in (4, 9, None):
        raise ValueError(f"{model} has {checkpoint.in_channels} input channels; 4 and 9 can remove objects")
    if method != "auto":
        if reason := _misfit(model, checkpoint, method):
            raise ValueError(reason)
        return Choice(model, checkpoint, method, "asked for")
    return _by_itself(model, checkpoint, prompt)


def _for_one_method(model: str, checkpoint: Checkpoint, method: str, prompt: str) -> Choice:
    """The choice for a model that was made for a single method."""
    if method not in ("auto", checkpoint.method):
        raise ValueError(f"{model} removes by {checkpoint.method} alone; for --method {method} give another --model")
    if prompt:
        raise ValueError(f"{checkpoint.method} removes, and puts nothing there that a prompt names; leave --prompt out")
    reason = f"{model}: made for it" if checkpoint.repo else "filled without a model"
    return Choice(model, checkpoint, checkpoint.method, reason)


def _misfit(model: str, checkpoint: Checkpoint, method: str) -> str | None:
    """The reason why a method cannot remove with a checkpoint, and what can; None if there is none."""
    row, channels = METHODS[method], checkpoint.in_channels
    if channels == 4 and 4 not in row.channels:
        sibling = checkpoint.inpainting
        return f"{model} has 4 input channels, so it is not fine-tuned for inpainting; use --method blending" + (
            f", or --model {sibling}, which was made from it" if sibling else ""
        )
    if channels == 9 and 9 not in row.channels:
        return f"{model} has 9 input channels and sees the hole by itself; use --method inpainting"
    if row.family and checkpoint.family not in (row.family, None):
        return f"--method {method} goes with {FAMILIES[row.family]}, and {model} is of another kind"
    return None


def _by_itself(model: str, checkpoint: Checkpoint, prompt: str) -> Choice:
    """The choice that `--method auto` makes for a checkpoint."""
    if checkpoint.in_channels == 9:
        return Choice(model, checkpoint, "inpainting", "made to fill holes: it has 9 input channels")
    if checkpoint.inpainting and not prompt:
        sibling = PRESETS[checkpoint.inpainting]
        reason = f"4 input channels; {checkpoint.inpainting} is its child fine-tuned for inpainting"
        return Choice(model, sibling, "inpainting", reason)
    if checkpoint.in_channels == 4:
        alone = "a prompt to draw" if checkpoint.inpainting else "no inpainting checkpoint of it is known"
        return Choice(model, checkpoint, "blending", f"4 input channels and {alone}")
    return Choice(model, checkpoint, "auto", "its config is not here; decided when it is fetched")
