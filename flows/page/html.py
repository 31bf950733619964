"""The page itself: one HTML file with its style and scripts inside, to review a result or to pick in a source."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

HERE = Path(__file__).parent
STYLE = "assets/report.css"
NAMES = ("rows", "decisions", "view", "paging", "mask", "cards", "zoom", "pick", "edit", "keys")  # in this order
SCRIPTS = [f"assets/{name}.js" for name in NAMES]
CHUNK = 1000  # rows of one script file: about half a megabyte


@dataclass(frozen=True)
class Page:
    """The facts of a page beside its rows. `key` names its place in the browser's storage, `files` hold further rows.

    A server that shows the page fills in `save`, where decisions go, and `originals`, where the source's pictures are.
    """

    title: str
    kind: Literal["review", "pick"]
    key: str
    total: int
    files: list[str]
    source: str | None
    save: str | None = None
    originals: str | None = None


def render(page: Page, rows: str) -> str:
    """The page as HTML; `rows` as `as_json` gives them."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    template = Environment(loader=FileSystemLoader(HERE), autoescape=True).get_template("report.html.j2")
    style, *scripts = (Markup((HERE / name).read_text(encoding="utf-8")) for name in (STYLE, *SCRIPTS))
    parts = {"style": style, "script": Markup("\n").join(scripts), "facts": Markup(as_json(asdict(page)))}
    return template.render(page=page, rows=Markup(rows), **parts)


def as_json(value: Any) -> str:
    """JSON in ASCII that can end neither a script element nor a line of JavaScript."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def in_chunks(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Rows as scripts that hand them to the page, in order."""
    rows = iter(rows)
    while some := list(islice(rows, CHUNK)):
        yield f"cleanplate.take({as_json(some)})\n"
