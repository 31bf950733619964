"""Words that people bring from other tools: understood, or answered with the command that was meant."""

import shlex
import sys

import pytest

from flows.cli import main as cli
from flows.cli.main import app
from flows.cli.other_names import FLAGS, VERBS, answered, understood
from tests.flows.small import rows, small

MEANT = "did you mean: cleanplate "


def said_to(monkeypatch, capsys, *words: object) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["cleanplate", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0), capsys.readouterr().err


def meant(said: str) -> list[str]:
    [line] = [line for line in said.splitlines() if line.startswith(MEANT)]
    return shlex.split(line.removeprefix(MEANT))


@pytest.mark.parametrize(
    "names", [("--image=", "--mask=", "--output="), ("-i=", "-m=", "-o="), ("--input=", "--mask=", "--out=")]
)
def test_a_command_line_of_iopaint_does_here_what_it_did_there(tmp_path, monkeypatch, capsys, names):
    job = small(tmp_path, pictures=2)
    flags = [name + value for name, value in zip(names, (job.source, job.masks, job.target), strict=True)]
    code, said = said_to(monkeypatch, capsys, "run", "--method=telea", "--device=cpu", *flags)
    assert code == 0, said
    assert {row["status"] for row in rows(job.target).values()} == {"removed"}


def test_a_phrase_may_be_given_by_a_letter():
    _, bound, _ = app.parse_args(["run", "a", "b", "-t", "dog", "-t", "cat"], exit_on_error=False)
    assert bound.kwargs["text"] == ["dog", "cat"]


def test_names_of_other_verbs_stay_as_they_are():
    assert understood(["export", "a", "b", "-o"]) == ["export", "a", "b", "-o"]
    assert understood(["run", "a", "b", "--prompt", "--mask"])[:4] == ["run", "a", "b", "--prompt"]


@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_of_another_tool_is_answered_with_a_command_that_is_ours(monkeypatch, capsys, flag):
    value = {"--object": ["dog"], "--remove": ["dog"], "--class": ["dog"], "--label": ["dog"], "--query": ["dog"]}
    value |= {"--sd-steps": ["9"], "--num-inference-steps": ["9"], "--dilate-kernel-size": ["9"], "--grow": ["9"]}
    value |= {"--mask-dilate": ["9"], "--workers": ["4"], "--threads": ["4"], "--jobs": ["4"], "-j": ["4"]}
    value |= {"--model-dir": ["weights"]}
    code, said = said_to(monkeypatch, capsys, "run", "photos", "cleaned", flag, *value.get(flag, []), "--box=1,1,9,9")
    assert code == 2
    assert said.startswith(f"{flag} is not known here: ")
    app.parse_args(meant(said), exit_on_error=False)
    assert "--box=1,1,9,9" in meant(said)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_of_another_tool_is_answered_with_ours(monkeypatch, capsys, verb):
    code, said = said_to(monkeypatch, capsys, verb, "in.jpg")
    assert code == 2
    assert said.startswith(f"{verb} is not known here: ")
    assert meant(said)[0] in app


def test_what_was_given_already_is_in_the_command_that_was_meant():
    assert answered(["i", "a b.jpg", "out.jpg"], "i") == (
        "rembg cuts out the subject; here something is removed, by name, point or box\n"
        "did you mean: cleanplate run 'a b.jpg' out.jpg --text person"
    )
    words = ["run", "a", "b", "--sd_steps=9", "-t", "dog"]
    assert answered(words, "--sd_steps=9") == "it is called\ndid you mean: cleanplate run a b --steps 9 -t dog"
    assert answered(["run", "a", "b", "--stpes"], "--stpes") is None
