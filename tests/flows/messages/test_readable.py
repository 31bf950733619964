"""Names that act where they are shown: in a terminal, a log, Markdown. What shows them spells them; JSON keeps them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flows.job import Job
from flows.messages.readable import as_code, as_markdown, readable
from flows.records.card import Standing, card
from tests.flows.small import put, rows, small

ACTING = (
    "a\x1b[2Jb",
    "a\nb",
    "a\rb",
    "a\u202eb",
    "a\u2066b",
    "a\u2028b",
    "a\x85b",
    "a\x9b31mb",
    "a\udcffb",
    "a\ufeffb",
)


@pytest.mark.parametrize("name", ACTING, ids=ascii)
def test_what_acts_is_spelled(name):
    shown = readable(name)
    assert shown.isprintable()
    assert shown.startswith("a\\")
    assert shown.encode().decode("unicode_escape") == name


@pytest.mark.parametrize("name", ["Äpfel & Birnen.jpg", "写真\u3000一.png", "👩\u200d🚀.png", "a b.png", "صورة.png"])
def test_what_only_shows_itself_stays(name):
    assert readable(name) == name


def test_markdown_shows_a_name_and_does_nothing_of_what_it_says():
    from markdown_it import MarkdownIt

    for name in ("a`b", "``", "[x](javascript:y)", "<img src=x>", "*a*_b_", "a\n# b", "`", "&lt;", "a|b", "![x](y)"):
        for shown in (as_code(name), as_markdown(name)):
            (block,) = [token for token in MarkdownIt().parse(f"x {shown} y") if token.type == "inline"]
            assert {child.type for child in block.children} <= {"text", "code_inline", "text_special"}, name
            text = "".join(child.content for child in block.children)
            assert text == f"x {readable(name)} y", shown


def test_a_card_of_a_source_with_a_line_break_has_no_line_of_its_making(tmp_path):
    told = card(Job(source="/data/in`\n# Forged", target="x", text=["a"]), {}, 0, {})
    assert "# Forged" not in told.splitlines()


def test_the_artifact_of_a_run_lists_failures_and_nothing_that_their_names_say():
    from flows.remove_objects import summary_page

    rows = [{"source": "a`\n- [x](javascript:y).png", "reason": "<img src=x>\n# Forged"}]
    job = Job(source="/data/in", target="/data/`out\n# Forged`", text=["a"])
    page = summary_page(job, Standing({"failed": 1}, 0, 0, 0, rows, []))
    lines = page.splitlines()
    assert [line for line in lines if line.startswith(("#", "- "))] == [lines[0], lines[4]]
    assert lines[4].startswith(r"- `` a`\n- [x](javascript:y).png ``: \<img src=x\>\\n\# Forged")


FORGED = ("p\x1b[2Jx.png", "q\nremoved: forged.png", "r\u202egnp.png")


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[bytes]]:
    """A run over pictures of such names, of which one fails."""
    place = tmp_path_factory.mktemp("names")
    job = small(place, 1)
    for number, name in enumerate(FORGED):
        put(place, name if name.endswith(".png") else f"{name}", number)
    (place / "in" / FORGED[1]).write_bytes(b"no picture")
    (place / "in" / FORGED[0]).write_bytes(b"no picture")
    line = ["run", job.source, job.target, "--masks", job.masks, "--model=bundled", "--method=telea", "--no-verify"]
    return place, subprocess.run([sys.executable, "-m", "flows", *line, "-v", "--no-flow"], capture_output=True)


def test_names_in_the_words_of_a_run_neither_act_nor_begin_a_line(ran):
    said = ran[1].stderr.decode()
    assert ran[1].returncode == 1, said
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "removed: forged.png" not in said.splitlines()
    assert r"failed: q\nremoved: forged.png" in said
    assert r"removed: r\u202egnp.png" in said


def test_names_in_the_records_are_as_they_are(ran):
    assert set(rows(ran[0] / "out")) == {"p00.png", *FORGED}


def test_status_shows_names_spelled_and_gives_them_exactly_as_json(ran):
    target = str(ran[0] / "out")
    shown = subprocess.run([sys.executable, "-m", "flows", "status", target], capture_output=True).stdout.decode()
    assert "\x1b" not in shown
    assert r"p\x1b[2Jx.png" in shown
    told = subprocess.run([sys.executable, "-m", "flows", "status", target, "--json"], capture_output=True).stdout
    assert {row["source"] for row in json.loads(told)["failures"]} == set(FORGED[:2])


def test_an_error_that_tells_of_such_a_name_begins_no_line_with_it(tmp_path):
    place = tmp_path / "in\nremoved: forged.png\x1b[2J"
    ended = subprocess.run([sys.executable, "-m", "flows", "status", str(place)], capture_output=True)
    said = ended.stderr.decode()
    assert (ended.returncode, "\x1b" in said) == (2, False)
    assert not [line for line in said.splitlines() if line.startswith("removed")]
