"""models, models explain: which weights there are, and which would be used and why."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from flows.cli.verbs.talk import Json, print_json, say
from flows.cli.verbs.usage import example

ACCEPTED = Parameter(help="its licence forbids commercial use, and that is fine", negative=(), show_default=False)

models_app = App(
    name="models", help="The models there are, and which would be used and why.", help_epilogue=example("models")
)


@models_app.default
def models() -> None:
    """The presets: what each loads, under which licence, how large, and what finds the objects. Then the segmenters."""
    from removal import PRESETS

    for name, row in PRESETS.items():
        print(f"{name:14} {row.size:>7}  {row.license:23} segmenter {row.segmenter}")
        place = row.repo if not row.is_local else "inside the package" if row.repo else "needs no weights and no GPU"
        print(f"{'':14} {place}")
    print("\nSegmenters (--segmenter NAME, or NAME:WEIGHTS with your own):")
    _segmenters()


def _segmenters() -> None:
    from masks.prompts import TextPrompt
    from masks.segmenters import SEGMENTERS, SHAPES

    for name, row in SEGMENTERS.items():
        takes = [
            *(["text"] if TextPrompt in row.takes else []),
            *(["points", "boxes"] if SHAPES[0] in row.takes else []),
        ]
        print(f"{name:14} {', '.join(takes):20} {row.license}")
        print(f"{'':14} {row.about}")
        if row.weights:
            print(f"{'':14} {'+'.join(filter(None, (row.weights, row.detector)))}")


@models_app.command(help_epilogue=example("models explain sdxl"))
def explain(
    model: str,
    *,
    method: str = "auto",
    lora: list[str] | None = None,
    vae: str = "",
    offline: bool = True,
    json: Json = False,
) -> None:
    """Which checkpoint and method a model means, and why; and what a LoRA or another autoencoder makes of it.

    Presets and withdrawn ids are resolved from the shipped table. `--no-offline` asks the hub about other ids.
    """
    from removal import choose

    choice = choose(model, method, offline=offline)
    row = choice.checkpoint
    facts = {
        "model": model,
        "repo": None if row.is_local else row.repo or None,
        "path": row.repo or None if row.is_local else None,
        "revision": row.revision,
        "in_channels": row.in_channels,
        "method": None if choice.method == "auto" else choice.method,
        "reason": choice.reason,
        "license": row.license,
    } | _beside(lora or [], vae, row.family)
    if json:
        print_json(facts)
        return
    for key, value in facts.items():
        print(f"{key:12} {'-' if value is None else value}")


def _beside(loras: list[str], vae: str, family: str | None) -> dict[str, Any]:
    """What is said of what goes beside the checkpoint, where anything does."""
    from removal.checkpoints.lora import LCM_STEPS, is_lcm, parse_lora
    from removal.checkpoints.vae import TAESD

    facts: dict[str, Any] = {}
    if loras:
        facts["lora"] = ", ".join(f"{place} × {weight:g}" for place, weight in map(parse_lora, loras))
    if any(map(is_lcm, loras)):
        facts["scheduler"] = f"LCM, as that LoRA is made for it: at most {LCM_STEPS} steps, guidance 1"
    if vae:
        facts["vae"] = TAESD.get(family or "sd15", vae) if vae == "taesd" else vae
    return facts


@models_app.command(help_epilogue=example("models pull sdxl"))
def pull(
    model: str,
    *,
    revision: str = "",
    segmenter: str = "auto",
    lora: list[str] | None = None,
    vae: str = "",
    accept_license: Annotated[bool, ACCEPTED] = False,
    json: Json = False,
) -> None:
    """Fetch a model into the hub's cache, so that `run --offline` has it; prints the folder where it is.

    Of a repo only what a removal needs: configs, and one set of .safetensors. A private or gated one takes HF_TOKEN in
    the environment. What finds the objects comes too: what a run with this model would take, or --segmenter NAME, or
    none; and so do LoRAs and --vae.
    """
    from flows.cli.pulling import pull_model

    pulled = pull_model(
        model,
        revision or None,
        accept_license,
        [*(lora or [])],
        vae,
        segmenter,
        say,
    )
    if json:
        print_json(pulled)
    else:
        print(pulled["path"])
