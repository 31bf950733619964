"""The same flow on a Ray cluster of two machines with a GPU each, all of them stand-ins on loopback."""

import subprocess
import sys

import pytest

from flows.job import Job
from tests.flows.deploy.test_lost_runs import assert_whole, published
from tests.flows.prefect_server import ROOT, PrefectServer, deployed
from tests.flows.test_scale import tiny

PICTURES = 320
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}  # 127.0.0.1 is left as it is


@pytest.fixture
def cluster(monkeypatch):
    """A head without work and two machines."""
    for name, value in LOOPBACK.items():
        monkeypatch.setenv(name, value)
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="the extra `ray` is not installed")
    place = {"node_ip_address": "127.0.0.1", "include_dashboard": False}
    made = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **place})
    try:
        made.machines = [made.add_node(num_cpus=1, num_gpus=1, **place) for _ in range(2)]
        yield made
    finally:
        made.shutdown()


def started(server: PrefectServer, address: str, job: Job) -> subprocess.Popen:
    """`cleanplate run` with a server and a cluster configured by environment alone."""
    flags = ["--masks", job.masks, "--model", "bundled", "--method", "telea", "--no-verify"]
    environment = server.environment | LOOPBACK | {"CLEANPLATE_RAY": address, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "flows", "run", job.source, job.target, *flags], env=environment, cwd=server.elsewhere
    )


@pytest.mark.slow
def test_a_run_on_a_cluster_outlives_the_loss_of_a_machine(cluster, tmp_path):
    job = tiny(tmp_path, PICTURES)
    with deployed(tmp_path / "home", tmp_path / "prefect") as server:
        run = started(server, cluster.address, job)
        server.until(lambda: published(job) >= 100)
        cluster.remove_node(cluster.machines[1], allow_graceful=False)
        assert run.wait(300) == 0
    assert_whole(job, PICTURES)
