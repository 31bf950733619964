"""models, models explain, models pull: the known weights, and which would be used and why."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from flows.cli.verbs.talk import Json, print_json, say
from flows.cli.verbs.usage import example
from flows.job import Job

if TYPE_CHECKING:
    from removal import Checkpoint

WIDTH, INDENT = 80, " " * 15  # columns
SHOWN = {None: "-", True: "yes", False: "no"}
ACCEPTED = Parameter(help="its licence forbids commercial use, and that is fine", negative=(), show_default=False)

models_app = App(
    name="models", help="The models there are, and which would be used and why.", help_epilogue=example("models")
)


@models_app.default
def models() -> None:
    """The presets: what each loads, its licence, what it is good for, needs and costs, by whose evidence. Then the
    segmenters.
    """
    from removal.checkpoints.presets import PRESETS, WHY_SD15

    print("Models (--model), in the order in which they are advised for photos:")
    for name, row in PRESETS.items():
        print(f"{name:14} {row.size:>7}  {row.license:23} segmenter {row.segmenter}")
        for line in _about(row):
            print(textwrap.fill(line, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT))
    print(f"\n{textwrap.fill(WHY_SD15, WIDTH)}\n")
    print("Segmenters (--segmenter NAME, or NAME:WEIGHTS, or module:function of your own):")
    _segmenters()


def _about(row: Checkpoint) -> list[str]:
    """A preset's weights, strengths, costs, and the evidence for them."""
    about = row.about
    assert about is not None  # of every preset
    pinned = f"pinned, SHA-256 {row.sha256[:12]}" if row.sha256 else "unpinned"
    place = "inside the package" if row.is_local else f"{row.repo}, {pinned}"
    place += f"; added to {row.base}, which comes too" if row.base else ""
    passes = "one pass" if about.rows == 1 else f"{about.rows} passes"
    cost = f"{passes} of the network a hole" if about.rows else "seconds of a CPU core a hole"
    cost += f" ({about.tflop:g} trillion operations)" if about.rows else ""
    return [
        place if row.repo else "needs no weights",
        about.good_for,
        f"{cost}, about {about.memory:g} GB of memory",
        about.evidence,
    ]


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
    """Which checkpoint and method a model means, and why, and whether it and its segmenter are on this machine.

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
    } | _here(Job(model=model, method=method, lora=lora or [], vae=vae))
    facts |= _beside(lora or [], vae, row)
    if json:
        print_json(facts)
        return
    for key, value in facts.items():
        print(f"{key:14} {SHOWN.get(value, value) if isinstance(value, bool | None) else value}")


def _here(job: Job) -> dict[str, Any]:
    """True if a model's weights and its segmenter's are on this machine, and the name of that segmenter."""
    from flows.steps.find_masks import segmenter_of
    from flows.steps.needed_weights import missing

    lacking = [weights.finds for weights in missing(job)]
    return {"weights_here": False not in lacking, "segmenter": segmenter_of(job), "segmenter_here": True not in lacking}


def _beside(loras: list[str], vae: str, row: Checkpoint) -> dict[str, Any]:
    """The base of a checkpoint, its digest, and its additions, as far as there are any."""
    from removal.checkpoints.lora import LCM_STEPS, is_lcm, parse_lora
    from removal.checkpoints.vae import TAESD

    facts: dict[str, Any] = {key: said for key in ("base", "sha256") if (said := getattr(row, key))}
    if loras:
        facts["lora"] = ", ".join(f"{place} × {weight:g}" for place, weight in map(parse_lora, loras))
    if any(map(is_lcm, loras)):
        facts["scheduler"] = f"LCM, as that LoRA is made for it: at most {LCM_STEPS} steps, guidance 1"
    if vae:
        facts["vae"] = TAESD.get(row.family or "sd15", vae) if vae == "taesd" else vae
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
