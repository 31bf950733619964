"""A real Prefect server with a real worker, started as the README says, on loopback and in a home of its own."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HOME = tempfile.TemporaryDirectory(prefix="cleanplate-prefect-")
os.environ["PREFECT_HOME"] = HOME.name  # read once, when Prefect is imported; nobody's own profile is touched

ROOT = Path(__file__).parents[2]
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "COLUMNS": "1000",  # so that no message is broken over lines
}
LIMIT = 240  # seconds for one command on a busy machine


@dataclass(frozen=True)
class PrefectServer:
    """A running server with one worker on the pool `gpu`, and both deployments on it."""

    api_url: str
    environment: dict[str, str]
    elsewhere: Path  # an empty folder, where commands and the worker start unless told otherwise
    deployed: str  # what `prefect deploy --all` said

    def __call__(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return prefect(self.environment, *arguments, cwd=cwd or self.elsewhere)

    def ask(self, path: str, **question: Any) -> Any:
        """What the server's API answers to a POST."""
        return ask(f"{self.api_url}/{path}", question)

    def clean(self, **parameters: str | int) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
        """`prefect deployment run remove-objects/adhoc -p … --watch`, and the flow run that came of it."""
        given = [part for name, value in parameters.items() for part in ("-p", f"{name}={value}")]
        ended = self("deployment", "run", "remove-objects/adhoc", *given, "--watch")
        return ended, self.runs()[0]

    def runs(self, deployment: str = "adhoc") -> list[dict[str, Any]]:
        """The flow runs of a deployment, the latest first."""
        of = {"name": {"any_": [deployment]}}
        return self.ask("flow_runs/filter", sort="EXPECTED_START_TIME_DESC", deployments=of)

    def first_runs(self, deployment: str, limit: float) -> list[dict[str, Any]]:
        """The flow runs of a deployment as soon as there are some; TimeoutError after `limit` seconds without."""
        return until(lambda: self.runs(deployment), limit=limit)

    def artifacts(self, run: dict[str, Any]) -> dict[str, Any]:
        """What a flow run left to look at: type and data by key."""
        found = self.ask("artifacts/filter", flow_runs={"id": {"any_": [run["id"]]}})
        return {artifact["key"]: (artifact["type"], artifact["data"]) for artifact in found if artifact["key"]}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    logs, elsewhere = tmp_path_factory.mktemp("logs"), tmp_path_factory.mktemp("elsewhere")
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = own | QUIET | {"PREFECT_HOME": HOME.name, "PREFECT_API_URL": url}
    with ExitStack() as stack:
        serve = ("server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui")
        stack.enter_context(started(environment, elsewhere, logs / "server.log", *serve))
        until(lambda: ask(f"{url}/health"), logs / "server.log")
        prefect(environment, "work-pool", "create", "gpu", "--type", "process", cwd=elsewhere).check_returncode()
        deployed = prefect(environment, "deploy", "--all", "--prefect-file", "flows/prefect.yaml", cwd=ROOT)
        assert deployed.returncode == 0, deployed.stdout + deployed.stderr
        stack.enter_context(
            started(environment, elsewhere, logs / "worker.log", "worker", "start", "--pool", "gpu", "--name", "one")
        )
        until(lambda: ask(f"{url}/work_pools/gpu/workers/filter", {}), logs / "worker.log")
        yield PrefectServer(url, environment, elsewhere, deployed.stdout)


def prefect(environment: dict[str, str], *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prefect", *arguments]
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=LIMIT)


@contextmanager
def started(environment: dict[str, str], cwd: Path, log: Path, *arguments: str) -> Iterator[None]:
    """A Prefect process in a group of its own; the whole group ends with the block."""
    with log.open("w") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", *arguments],
            env=environment, cwd=cwd, stdout=lines, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        yield
    finally:
        for last_word, patience in ((signal.SIGTERM, 20), (signal.SIGKILL, 20)):
            if process.poll() is None:
                os.killpg(process.pid, last_word)
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                continue


def until(answer: Callable[[], Any], log: Path | None = None, limit: float = LIMIT) -> Any:
    """Poll until there is an answer, and return it; a server that is not there yet has none."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        try:
            if found := answer():
                return found
        except OSError:
            pass
        time.sleep(0.3)
    raise TimeoutError(f"no answer in {limit:.0f} s\n{log.read_text()[-4000:] if log else ''}")


def ask(url: str, question: dict[str, Any] | None = None) -> Any:
    """GET, or POST of a question, as JSON."""
    body = None if question is None else json.dumps(question).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body, {"content-type": "application/json"})) as answer:
        return json.load(answer)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Any]:
    """A real S3 server on loopback."""
    from tests.flows import s3

    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patch:
        proxy, server = s3.start()
        for name, value in (keys | {"AWS_ENDPOINT_URL": proxy.url}).items():
            patch.setenv(name, value)
        yield proxy
        proxy.shutdown()
        server.stop()


@pytest.fixture
def s3(s3_server: Any) -> Iterator[Any]:
    """The same, with neither failures nor delays left over."""
    yield s3_server
    s3_server.failing, s3_server.slow = 0, 0.0


@pytest.fixture
def s3_bucket(s3: Any, tmp_path: Path) -> str:
    """The address of an empty bucket."""
    import fsspec

    name = "bucket-" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir(name)
    return f"s3://{name}"
