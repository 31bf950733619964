"""What the command line points to when a verb has ended, and what it refuses by its address."""

import shlex
from pathlib import Path

import pytest

from flows.cli.main import app
from flows.cli.verbs.talk import code_of
from tests.flows.small import rows, small


def called(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        app([*words])
    return int(ended.value.code or 0)


def flags(job) -> list[str]:
    return ["--masks", job.masks, "--model", "bundled", "--method", "telea", "--no-verify", "--no-flow"]


def test_the_command_after_masks_keeps_the_model_and_does_what_it_says(tmp_path, capsys):
    job = small(tmp_path)
    masks = [word for word in flags(job) if word != "--no-flow"]
    assert called("masks", job.source, job.target, *masks) == 0
    called("status", job.target)
    step = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("next: cleanplate run"))
    assert "--model bundled" in step
    assert called(*shlex.split(step.removeprefix("next: cleanplate ")), "--no-flow") == 0
    assert {row["status"] for row in rows(job.target).values()} == {"removed"}


def test_the_end_of_a_run_names_the_report_and_that_of_a_shard_what_joins_them(tmp_path, capsys):
    job = small(tmp_path)
    assert called("run", job.source, job.target, *flags(job), "--shard", "1/1") == 0
    assert f"cleanplate merge {job.target}" in capsys.readouterr().err
    assert called("merge", job.target) == 0
    assert called("run", job.source, job.target, *flags(job)) == 0
    assert f"report: {job.target}/report.html" in capsys.readouterr().err
    assert Path(job.target, "report.html").exists()


@pytest.mark.parametrize("words", ["redo {}", "merge {}", "review {}", "export {} dest", "export cleaned {}"])
def test_an_address_in_a_store_is_refused_as_it_was_given(words):
    with pytest.raises(ValueError, match=r"s3://bucket/out is in a store") as refused:
        app(shlex.split(words.format("s3://bucket/out")))
    assert code_of(refused.value) == 2
