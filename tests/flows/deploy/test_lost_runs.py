"""Runs that are killed, or left alone by their worker or the server: what becomes of them."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from flows.job import Job
from flows.run import run
from tests.flows.prefect_server import ROOT, PrefectServer, deployed, end, prefect_server
from tests.flows.test_scale import tiny

SAID = ("source", "target", "masks", "model", "method", "verify")


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Iterator[PrefectServer]:
    """A server of this file's own, without a worker."""
    with deployed(tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("own") / "prefect") as server:
        yield server


def parameters(job: Job) -> dict:
    return {name: getattr(job, name) for name in SAID}


def begun(server: PrefectServer, job: Job, pictures: int = 50) -> str:
    """A run of a job that has published some pictures."""
    run_id = server.begin(**parameters(job))
    server.until(lambda: published(job) >= pictures)
    return run_id


def published(job: Job) -> int:
    images = Path(job.target, "images")
    return len([name for name in os.listdir(images) if not name.startswith(".")]) if images.exists() else 0


def kill_flow(server: PrefectServer, run_id: str, attempt: int = 1, before: str | None = None) -> str:
    """Kill the process of a run's n-th attempt, which has another id than the one before; returns this id."""

    def started() -> str | None:
        run = server.run(run_id)
        pid = run["infrastructure_pid"]
        return pid if run["run_count"] == attempt and pid != before else None

    pid = server.until(started)
    os.kill(int(pid), signal.SIGKILL)
    return pid


def assert_whole(job: Job, pictures: int) -> None:
    """Every picture is in its place with its row, and nothing else is, not even half of a file."""
    left = list(Path(job.target).rglob("*.part"))
    done = run(job)
    assert (left, done.tried, done.counts, published(job)) == ([], 0, {"removed": pictures}, pictures)


@pytest.mark.slow
def test_a_run_whose_process_is_killed_goes_on_by_itself(own, tmp_path):
    job = tiny(tmp_path, 1000)
    with own.worker("one", "--limit", "1"):
        run_id = begun(own, job)
        kill_flow(own, run_id)
        own.until_state(run_id, "COMPLETED")
    assert [name for name in own.states(run_id) if name in ("Crashed", "AwaitingRetry", "Completed")] == [
        "Crashed",
        "AwaitingRetry",
        "Completed",
    ]
    assert_whole(job, 1000)


@pytest.mark.slow
def test_a_run_that_always_dies_is_given_up_after_three_resumes(own, tmp_path):
    job, other = tiny(tmp_path / "job", 1000), tiny(tmp_path / "other", 1000)
    with own.worker("one", "--limit", "1"):
        run_id = begun(own, job, 0)
        pid = None
        for attempt in (1, 2, 3, 4):
            pid = kill_flow(own, run_id, attempt, pid)
        own.until_state(run_id, "CRASHED")
        later = begun(own, other)
        kill_flow(own, later)
        own.until_state(later, "COMPLETED")  # it was resumed, so the first would have been
    assert own.states(run_id).count("AwaitingRetry") == 3
    assert own.run(run_id)["state"]["name"] == "Crashed"


@pytest.mark.slow
@pytest.mark.parametrize("word", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_whose_worker_is_lost_is_found_and_goes_on_with_another(own, tmp_path, word):
    """SIGTERM is how a machine shuts down: the worker takes its run with it and tells nobody."""
    job = tiny(tmp_path, 1000)
    with own.worker("lost", "--limit", "1") as worker:
        run_id = begun(own, job)
        pid = int(own.run(run_id)["infrastructure_pid"])
        if word is signal.SIGKILL:
            os.kill(pid, word)
            os.killpg(worker.pid, word)
        else:
            end(worker)
        worker.wait()
    assert own.run(run_id)["state"]["name"] == "Running"
    with own.worker("next", "--limit", "1"):
        own.until_state(run_id, "COMPLETED", limit=400)
    assert "Crashed" in own.states(run_id)
    assert_whole(job, 1000)


@pytest.mark.slow
def test_a_run_outlives_a_server_that_is_killed_and_comes_back(tmp_path):
    job = tiny(tmp_path, 1500)
    server = prefect_server(tmp_path / "home", tmp_path / "prefect")
    with server.up() as process:
        server.deploy()
        worker = server.worker("one", "--limit", "1")
        worker.__enter__()
        try:
            run_id = begun(server, job)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            before = published(job)
            server.until(lambda: published(job) > before)  # work goes on without it
            with server.up():
                server.until_state(run_id, "COMPLETED", limit=400)
        finally:
            worker.__exit__(None, None, None)
    assert_whole(job, 1500)


def quick(server: PrefectServer, folder: Path, name: str, within: int) -> str:
    """An automation of flows/automations.yaml once more, with a shorter patience; its name."""
    shipped = yaml.safe_load((ROOT / "flows" / "automations.yaml").read_text())["automations"]
    [one] = [each for each in shipped if each["name"] == name]
    one["name"], one["trigger"]["within"] = f"quick-{name}", within
    file = folder / "quick.yaml"
    file.write_text(yaml.safe_dump({"automations": [one]}))
    server("automation", "create", "--from-file", str(file)).check_returncode()
    return one["name"]


@pytest.mark.slow
@pytest.mark.parametrize("deployment", ["adhoc", "nightly"])
def test_a_run_that_was_pending_when_its_worker_died_frees_the_pool_and_waits_again(own, tmp_path, deployment):
    """No worker is there to begin anything, until the pool and the night are seen to be free again."""
    jobs = [tiny(tmp_path / name, 20) for name in ("lost", "next")]
    lost, after = own.begin(deployment, **parameters(jobs[0])), own.begin("adhoc", **parameters(jobs[1]))
    automation = quick(own, tmp_path, "cleanplate-never-began", 10)
    own.ask(f"flow_runs/{lost}/set_state", state={"type": "PENDING", "name": "Pending"})
    assert own.waiting() == []  # it holds the one slot of the pool
    own.until(lambda: own.states(lost)[-1] == "AwaitingRetry", limit=120)
    own("automation", "delete", "--name", automation).check_returncode()
    assert set(own.until(own.waiting)) >= {after}
    with own.worker("next", "--limit", "1"):
        for run_id, job in zip((lost, after), jobs, strict=True):
            assert own.until_state(run_id, "COMPLETED", "FAILED", "CANCELLED")["state"]["type"] == "COMPLETED"
            assert_whole(job, 20)
        if deployment == "nightly":  # and the next night is not cancelled for one that holds its place
            ended, night = own.clean("nightly", **parameters(jobs[0]))
            assert (ended.returncode, night["state"]["message"]) == (0, "nothing to do: 20 removed")
