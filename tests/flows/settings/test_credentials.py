"""Passwords and tokens in settings are refused before anything is touched, and nothing repeats them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from flows.job import Job

CANARY = "c4n4ryc4n4ryc4n4ryc4n4ry"
URLS = [
    f"sftp://me:{CANARY}@host/pictures",
    f"s3://key:{CANARY}@bucket/pictures",
    f"https://host/pictures?token={CANARY}",
    f"https://host/pictures?a=1&X-Amz-Signature={CANARY}",
    f"https://host/pictures?sv=1&sig={CANARY}",
    f"hf://datasets/hf_{CANARY}/pictures",
]


@pytest.mark.parametrize("setting", ["source", "target", "prompts", "masks", "model"])
@pytest.mark.parametrize("url", URLS)
def test_a_secret_in_a_setting_is_refused_and_not_repeated(setting, url):
    with pytest.raises(ValidationError, match=f"{setting} holds a password or token") as refused:
        Job(**{setting: url})
    assert CANARY not in str(refused.value)


PLAIN = [
    "s3://bucket/a@b:c/pictures",
    "sftp://me@host/pictures",
    "/data/token=1/x",
    "a:b@c",
    "https://a/x?p=2",
    "hf_me",
]


@pytest.mark.parametrize("plain", PLAIN)
def test_what_only_looks_like_a_secret_is_none(plain):
    assert Job(source=plain).source == plain


def test_no_other_mistake_repeats_what_was_given():
    with pytest.raises(ValidationError) as refused:
        Job(seed=CANARY)
    assert CANARY not in str(refused.value)


@pytest.mark.parametrize("by", ["flag", "job file"])
def test_the_command_line_ends_with_2_and_leaves_no_trace_of_a_secret(tmp_path, by):
    (tmp_path / "job.toml").write_text(f'masks = "{URLS[0]}"\n')
    given = ["--job", str(tmp_path / "job.toml")] if by == "job file" else ["--masks", URLS[0]]
    (tmp_path / "in").mkdir()
    command = [sys.executable, "-m", "flows", "run", str(tmp_path / "in"), str(tmp_path / "out"), *given]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], timeout=120)
    assert ended.returncode == 2, ended.stderr
    assert "holds a password or token" in ended.stderr
    assert CANARY not in ended.stdout + ended.stderr
    assert not (tmp_path / "out").exists()
