"""models, models explain: which weights there are, and which would be used and why."""

from __future__ import annotations

from cyclopts import App

from flows.verbs.talk import Json, print_json
from flows.verbs.usage import example

models_app = App(
    name="models", help="The models there are, and which would be used and why.", help_epilogue=example("models")
)


@models_app.default
def models() -> None:
    """The presets: what each loads, under which licence, how large, and what finds the objects."""
    from removal import PRESETS

    for name, row in PRESETS.items():
        print(f"{name:14} {row.size:>7}  {row.license:23} segmenter {row.segmenter}")
        print(f"{'':14} {row.repo if not row.is_local else 'inside the package'}")


@models_app.command(help_epilogue=example("models explain sdxl"))
def explain(model: str, *, method: str = "auto", offline: bool = True, json: Json = False) -> None:
    """Which checkpoint and method a model means, and why.

    Presets and withdrawn ids are resolved from the shipped table. `--no-offline` asks the hub about other ids.
    """
    from removal import choose

    choice = choose(model, method, offline=offline)
    row = choice.checkpoint
    facts = {
        "model": model,
        "repo": None if row.is_local else row.repo or None,
        "path": row.repo if row.is_local else None,
        "revision": row.revision,
        "in_channels": row.in_channels,
        "method": None if choice.method == "auto" else choice.method,
        "reason": choice.reason,
        "license": row.license,
    }
    if json:
        print_json(facts)
        return
    for key, value in facts.items():
        print(f"{key:12} {'-' if value is None else value}")
