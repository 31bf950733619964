"""The job file for editors: its JSON Schema, and a template."""

from __future__ import annotations

import textwrap
from typing import Any

from flows.job import Job
from flows.records.card import to_toml

FILE = "cleanplate.schema.json"


def job_schema() -> dict[str, Any]:
    """JSON Schema of a job file, made from Job. Draft 7, which editors' TOML tools (taplo) understand."""
    made = Job.model_json_schema()
    for name, about in made["properties"].items():
        about.pop("title", None)
        if about.get("type") == "array":  # a single phrase needs no brackets
            many = {key: about.pop(key) for key in ("type", "items")}
            made["properties"][name] = {"anyOf": [many["items"], many], **about}
    return made | {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Cleanplate's job file",
        "description": "Settings of `cleanplate run --job FILE`; flags override them.",
    }


def job_to_start_from() -> str:
    """A job file with every setting as a comment, and its description."""
    lines = [
        f"#:schema ./{FILE}",
        "# A job for `cleanplate run SOURCE TARGET --job FILE`. Editors complete and check it",
        f"# with `cleanplate schema > {FILE}` beside it. Remove the # from settings",
        "# that you change; none of them is required.",
    ]
    for name, about in Job.model_fields.items():
        if name in ("source", "target"):
            continue  # given on the command line, so that one job serves many folders
        default = about.get_default()
        setting = f"{name} = \n" if default is None else to_toml({name: default})
        lines += ["", *textwrap.wrap(about.description or "", 78, initial_indent="## ", subsequent_indent="## ")]
        lines.append(f"# {setting}".rstrip())
    return "\n".join(lines)
