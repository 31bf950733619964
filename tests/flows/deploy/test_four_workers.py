"""2,000 pictures through a real server by four shards on four workers, one killed and one added in mid-run."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from flows.merge import merge
from flows.run import run
from tests.flows.deploy.test_lost_runs import parameters, published
from tests.flows.ledger.test_shards import RECORDS, elsewhere, images, rows
from tests.flows.prefect_server import deployed
from tests.flows.test_scale import tiny

PICTURES = 2000
DEVICES = ("0", "1", "2", "3")


@pytest.mark.slow
def test_every_picture_is_accounted_for_when_a_worker_is_lost_and_another_comes(tmp_path):
    """The devices are stand-ins: each worker has one of its own and takes one run at a time."""
    job = tiny(tmp_path, PICTURES)
    with deployed(tmp_path / "home", tmp_path / "prefect") as server, ExitStack() as stack:
        server("work-pool", "set-concurrency-limit", "gpu", str(len(DEVICES))).check_returncode()
        workers = {
            name: stack.enter_context(server.worker(name, "--limit", "1", CUDA_VISIBLE_DEVICES=name))
            for name in DEVICES[:3]
        }
        begun = [server.begin(**parameters(job), shard=f"{index}/4") for index in (1, 2, 3, 4)]
        server.until(lambda: published(job) >= 200)
        lost = server.until(lambda: next(filter(at_work, map(server.run, begun)), None))
        os.killpg(workers[on(lost)].pid, signal.SIGKILL)
        os.kill(int(lost["infrastructure_pid"]), signal.SIGKILL)
        stack.enter_context(server.worker("3", "--limit", "1", CUDA_VISIBLE_DEVICES="3"))
        for run_id in begun:
            server.until_state(run_id, "COMPLETED", limit=600)
        assert on(server.run(lost["id"])) != on(lost)
        assert "Crashed" in server.states(lost["id"])
    merged = merge(Path(job.target))
    assert (merged.counts, merged.missing) == ({"removed": PICTURES}, {})
    alone = elsewhere(job, tmp_path / "alone")
    run(alone)
    assert rows(job.target) == rows(alone.target)
    assert images(job.target) == images(alone.target)
    assert all(Path(job.target, name).exists() for name in RECORDS)
    assert run(job).tried == 0


def at_work(run: dict) -> bool:
    return run["state"]["type"] == "RUNNING" and bool(run["infrastructure_pid"])


def on(run: dict) -> str:
    """The worker that a flow run is on, by its device."""
    return run["labels"]["prefect.worker.name"]
