"""`python -m flows.serve`: the deployments without a work pool."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.run import run
from tests.flows.deploy.test_lost_runs import parameters, published
from tests.flows.prefect_server import ROOT, end, prefect_server
from tests.flows.test_scale import tiny


def serve(*flags: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command with a Prefect home in which nobody set a server."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.run(
        [sys.executable, "-m", "flows.serve", *flags], env=own | {"PREFECT_HOME": str(home)} | environment,
        capture_output=True, text=True, cwd=ROOT, timeout=240,
    )  # fmt: skip


def test_without_a_server_it_says_how_to_get_one(tmp_path):
    ended = serve(home=tmp_path)
    assert ended.returncode == 3
    assert "prefect server start" in ended.stderr
    assert "PREFECT_API_URL=" in ended.stderr


@pytest.mark.parametrize("half", [("--cron", "0 2 * * *"), ("--job", "job.toml")])
def test_a_schedule_needs_to_be_told_when_and_what(tmp_path, half):
    ended = serve(*half, home=tmp_path, PREFECT_API_URL="http://127.0.0.1:1/api")
    assert ended.returncode == 2
    assert "--cron says when, --job says what" in " ".join(ended.stderr.split())


@pytest.mark.slow
def test_it_serves_both_deployments_and_its_schedule_repeats_a_result(tmp_path):
    """The schedule is for the job.toml of a run over the same folder; one more picture came since."""
    job = tiny(tmp_path, 20)
    run(job)
    (tmp_path / "images" / "new.png").write_bytes((tmp_path / "images" / "00000.png").read_bytes())
    server = prefect_server(tmp_path / "home", tmp_path / "prefect")
    flags = ["--cron", "* * * * *", "--job", f"{job.target}/job.toml"]
    with server.up():
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.serve", *flags], cwd=ROOT, start_new_session=True,
            env=server.environment | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            server.until(lambda: any(one["state"]["type"] == "COMPLETED" for one in server.runs("nightly")))
            assert published(job) == 21
            ended, done = server.clean(**parameters(job))
        finally:
            end(process)
    assert (ended.returncode, done["state"]["message"]) == (0, "nothing to do: 21 removed")
