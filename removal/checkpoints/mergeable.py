"""Whether three checkpoints can be merged, judged by their configs and headers alone, and why not."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from removal.checkpoints.diffusers_folder import SCHEDULER, UNET, name_of, read_json, unet_files, unet_shapes

CONV_IN = "conv_in.weight"  # the only tensor whose shape says how many input channels there are
NOT_ARCHITECTURE = {"in_channels", "sample_size", "dropout", "upcast_attention"}  # the first is judged on its own
TRAINED_FOR = {"prediction_type": "epsilon", "rescale_betas_zero_snr": False}  # and what holds where nothing is said
OTHERWISE = "use --method blending, which needs no inpainting checkpoint"


def refuse(inpainting: Path, base: Path, fine_tune: Path) -> str | None:
    """Why the three cannot be merged, and what to do instead; None where nothing is against it.

    Reads the configs of UNets and schedulers, and the headers of the UNets' weights where these are there.
    """
    for folder, in_channels in ((inpainting, 9), (base, 4), (fine_tune, 4)):
        if reason := _unfit(folder, in_channels):
            return reason
    if sign := _distilled(fine_tune):
        return f"{name_of(fine_tune)} is distilled to few steps ({sign}), which no merge keeps; {OTHERWISE}"
    for other in (base, inpainting):
        pair = f"{name_of(fine_tune)} and {name_of(other)}"
        if field := _difference(_architecture(fine_tune), _architecture(other)):
            return f"the UNets of {pair} are built differently ({field}); {OTHERWISE}"
        if field := _difference(_training(fine_tune), _training(other)):
            return f"{pair} were trained to predict different things ({field}); {OTHERWISE}"
        ours, theirs = (unet_shapes(folder) for folder in (fine_tune, other))
        if ours and theirs and (field := _difference(ours | {CONV_IN: ()}, theirs | {CONV_IN: ()})):
            return f"the UNets of {pair} do not hold the same tensors ({field}); {OTHERWISE}"
    return None


def _unfit(folder: Path, in_channels: int) -> str | None:
    """Why a folder, seen alone, is no parent with this many input channels."""
    for config in (UNET, SCHEDULER):
        if not (folder / config).is_file():
            return f"{name_of(folder)} has no {config}; give a whole diffusers folder"
    if not unet_files(folder) and any((folder / "unet").glob("*.bin")):
        return f"{name_of(folder)} has its UNet as .bin, which can run code when read; save it again as .safetensors"
    try:
        width = unet_shapes(folder).get(CONV_IN, (0, in_channels))[1]
    except SafetensorError as error:
        return f"the UNet of {name_of(folder)} is not a whole .safetensors file ({error}); fetch it again"
    for found in (read_json(folder / UNET).get("in_channels", 4), width):
        if found != in_channels:
            needed = "9 for the inpainting checkpoint, 4 for its base and the fine-tune"
            return f"{name_of(folder)} has {found} input channels where {in_channels} are needed ({needed})"
    return None


def _distilled(folder: Path) -> str | None:
    """What shows that a checkpoint was distilled to few steps (LCM, TCD, Turbo, Lightning)."""
    if (width := read_json(folder / UNET).get("time_cond_proj_dim")) is not None:
        return f"its UNet has time_cond_proj_dim {width}"
    scheduler = read_json(folder / SCHEDULER)
    kind, spacing = str(scheduler.get("_class_name")), scheduler.get("timestep_spacing")
    if kind in ("LCMScheduler", "TCDScheduler"):
        return f"its scheduler is {kind}"
    if kind in ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler") and spacing == "trailing":
        return f"its scheduler is {kind} with timestep_spacing trailing"
    return None


def _architecture(folder: Path) -> dict[str, list]:
    """What the UNet is built from. Old configs leave out what is usual; one number for all blocks is one for each."""
    from diffusers import UNet2DConditionModel

    given, architecture = read_json(folder / UNET), {}
    for field in inspect.signature(UNet2DConditionModel.__init__).parameters.values():
        if field.name not in NOT_ARCHITECTURE:
            value = given.get(field.name, field.default)
            blocks = list(value) if isinstance(value, (list, tuple)) else [value]
            architecture[field.name] = blocks[:1] if blocks[1:] == blocks[:-1] else blocks
    return architecture


def _training(folder: Path) -> dict[str, Any]:
    given = read_json(folder / SCHEDULER)
    return {name: given.get(name) or usual for name, usual in TRAINED_FOR.items()}


def _difference(ours: dict[str, Any], theirs: dict[str, Any]) -> str | None:
    """The first name with another value here than there, and both values."""
    for name in sorted(ours | theirs):
        here, there = (values.get(name, "missing") for values in (ours, theirs))
        if here != there:
            return f"{name}: {here} and {there}"
    return None
