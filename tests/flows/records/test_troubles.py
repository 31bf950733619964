"""What is wrong in a target: alike reasons together, the worst first."""

import json
import shlex
import threading

import pytest

from flows.cli.main import app
from flows.cli.verbs.results import status
from flows.outcome import Outcome
from flows.records import card as cards
from flows.records.troubles import Troubles


def row(name: str, state: str = "removed", **about) -> dict:
    return Outcome(name, state, **about).row()


@pytest.fixture
def target(tmp_path):
    """A function that makes a target of some rows."""

    def make(*rows: dict):
        delivered = [one for one in rows if one["status"] not in ("failed", "skipped")]
        for name, some in (("metadata", delivered), ("failures", [one for one in rows if one not in delivered])):
            (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in some))
        (tmp_path / "job.toml").write_text('source = "/photos/of summer"\nmodel = "classic"\n')
        return tmp_path

    return make


def test_reasons_that_differ_in_a_number_a_path_or_a_name_are_one():
    troubles = Troubles()
    for k in range(3):
        troubles.add(row(f"{k}.png", "failed", reason=f"its mask /m/{k}.png covers {k}1% of the picture"))
        troubles.add(row(f"{k}.jpg", "failed", reason=f"the segmenter does not know the word 'dog{k}'"))
    found = troubles.worst_first()
    assert [(trouble.count, trouble.example) for trouble in found] == [(3, "0.png"), (3, "0.jpg")]
    assert found[0].reason == "its mask /m/0.png covers 01% of the picture"


def test_failed_comes_before_rejected_and_doubtful_and_the_commonest_first():
    troubles = Troubles()
    doubtful = {"verdict": "doubtful", "reason": "9 input channels; doubtful after 2 attempts: an edge shows"}
    for number, about in enumerate(
        [doubtful, doubtful, doubtful, {"review": "reject", "note": "a ghost"}, {"state": "failed", "reason": "empty"}]
        + [{"state": "failed", "reason": "truncated"}] * 2
    ):
        troubles.add(row(f"{number}.png", **about))
    assert [(trouble.kind, trouble.count, trouble.reason) for trouble in troubles.worst_first()] == [
        ("failed", 2, "truncated"),
        ("failed", 1, "empty"),
        ("rejected", 1, "a ghost"),
        ("doubtful", 3, "an edge shows"),
    ]


def test_what_a_reviewer_accepted_is_no_trouble():
    troubles = Troubles()
    troubles.add(row("a.png", verdict="doubtful", reason="doubtful: an edge shows", review="accept"))
    assert troubles.worst_first() == []


def test_a_status_of_a_hundred_thousand_rows_is_a_screenful_unless_all_is_asked_for(target, capsys):
    letters = "abcdefghijklmnopqrstuvwxy"
    made, line = target(), json.dumps(row("NAME", "failed", reason="reason LETTER")) + "\n"
    lines = (line.replace("NAME", f"{k}.png").replace("LETTER", letters[k % 25]) for k in range(100_000))
    (made / "failures.jsonl").write_text("".join(lines))
    assert status(made) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "  100000  failed"
    assert out[1] == "    4000  failed: reason a (0.png, …)"
    assert out[21] == "          and 5 more reasons: --all"
    assert len(out) <= 24
    status(made, all=True)
    assert sum("failed: reason" in line for line in capsys.readouterr().out.splitlines()) == 25


@pytest.mark.parametrize(
    ("rows", "steps"),
    [
        ([row("a.png", "masked")], ["run '/photos/of summer' {0} --job {0}/job.toml --model classic"]),
        ([row("a.png", "failed", reason="empty")], ["redo {} --only failed"]),
        (
            [row("a.png", "failed", reason="empty"), row("b.png", review="reject")],
            ["redo {} --only failed,rejected"],
        ),
        ([row("a.png", verdict="doubtful", reason="doubtful: an edge shows")], ["review {}"]),
        ([row("a.png", "nothing found")], []),
    ],
)
def test_the_next_steps_are_commands_that_fit_what_there_is(target, rows, steps):
    made = target(*rows)
    told = cards.next_steps(made, cards.standing(made))
    assert told == [f"cleanplate {step.format(made)}" for step in steps]
    for command in told:
        app.parse_args(shlex.split(command)[1:], exit_on_error=False)


def test_a_reason_with_an_endless_word_in_it_is_sorted_in_at_once():
    done = threading.Event()

    def work():
        found = Troubles()
        for reason in ("x" * 300_000, "x " * 150_000, "x/" * 150_000, "'" * 300_001, "1" * 300_000):
            found.add({"status": "failed", "source": "a.png", "verdict": None, "review": None, "reason": reason})
        assert sum(trouble.count for trouble in found.worst_first()) == 5
        done.set()

    threading.Thread(target=work, daemon=True).start()
    assert done.wait(30)  # not a time that is promised: with a square it would be hours
