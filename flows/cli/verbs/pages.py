"""review, pick: pages for people to look at results, decide, and point at objects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from flows.cli.verbs.talk import Json, print_json, say
from flows.messages.counts import many
from flows.settings.paths import local_path, local_target

if TYPE_CHECKING:
    from flows.review.server import Site

Apply = Annotated[Path | None, Parameter(help="decisions.jsonl from the page; it is applied first")]
Serve = Annotated[bool, Parameter(help="show the page on 127.0.0.1 and save every decision at once", negative=())]
Port = Annotated[int, Parameter(help="port on 127.0.0.1; 0: any that is free")]
To = Annotated[Path | None, Parameter(help="folder for the page; by default SOURCE's name and -pick, here")]
Out = Annotated[
    Path | None, Parameter(help="prompts.jsonl to continue from, and to save into; by default beside the page")
]


def review(target: Path, *, apply: Apply = None, serve: Serve = False, port: Port = 0, json: Json = False) -> None:
    """Write TARGET/report.html: every picture before and after, the worst first, to accept, reject or keep as it was.

    The page opens by a double click, from a share too, and asks no other machine. What is decided leaves it as
    decisions.jsonl, for --apply; with --serve it goes straight into TARGET.
    """
    from flows.page import report as page
    from flows.places.one_file import records_place
    from flows.review import decisions

    target = local_target(records_place(str(target)))

    def take_in(lines: str) -> int:
        return decisions.apply(target, decisions.read_decisions(lines), say)

    def save(lines: str) -> str:
        """Save decisions. Returns what had to be left out, for the page to show."""
        left_out: list[str] = []
        decisions.apply(target, decisions.read_decisions(lines), left_out.append)
        for words in left_out:
            say(words)
        return "; ".join(left_out)

    decided = take_in(local_path(apply).read_text(encoding="utf-8")) if apply else None
    written = page.rewrite(target)
    if decided is not None:
        say(f"Applied {many(decided, 'decision')}")
    if json:
        print_json({"target": str(target), "report": str(written), "decided": decided or 0})
    else:
        print(written)
    if serve:
        from flows.review.server import Site

        shown = ("images/", "process/", ".cleanplate/report/", ".cleanplate/attempts/")
        _serve(Site(target, page.PAGE, shown, page.source_of(target), save, lambda: page.rewrite(target)), port)


def pick(source: str, *, to: To = None, out: Out = None, serve: Serve = False, port: Port = 0) -> None:
    """Write a page for clicking on what is to go, in every picture of SOURCE; it gives prompts.jsonl.

    Click for a point on the object, shift-click beside it, drag for a box, or type words. With --serve the page saves
    as you click. Then: cleanplate run SOURCE TARGET --prompts prompts.jsonl
    """
    from flows.page import pick as picking

    given = local_path(source)
    folder = local_path(to) if to else Path(f"{given.resolve().name}-pick")
    prompts = local_path(out) if out else folder / "prompts.jsonl"

    def write() -> Path:
        return picking.write(source, folder, prompts, say)

    print(write())
    if serve:
        from flows.review.server import Site

        originals = given if given.is_dir() else given.parent
        save: Callable[[str], int] = lambda lines: picking.take(prompts, lines)  # noqa: E731
        _serve(Site(folder, picking.PAGE, (f"{picking.COPIES}/",), originals, save, write), port)
    else:
        say(f"open it, click, and download prompts.jsonl; then: cleanplate run {source} TARGET --prompts prompts.jsonl")


def _serve(site: Site, port: int) -> None:
    """Serve until Ctrl-C. Afterwards the page in the folder is as it was on the screen."""
    from flows.review.server import server

    made, address = server(site, port)
    with made:
        print(address, flush=True)
        say("open this address; Ctrl-C when done")
        try:
            made.serve_forever()
        except KeyboardInterrupt:
            say("stopped serving")
        finally:
            if site.stale:
                site.refresh()
