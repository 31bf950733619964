"""A real Prefect server with real workers, started as the README says, on loopback and in a home of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """A server, which runs inside `up()`, and what one asks of it."""

    port: int
    environment: dict[str, str]
    folder: Path  # for its logs; and `elsewhere`, an empty one, where commands and workers start unless told otherwise

    @property
    def api_url(self) -> str:
        return self.environment["PREFECT_API_URL"]

    @property
    def elsewhere(self) -> Path:
        return self.folder / "elsewhere"

    def __call__(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "prefect", *arguments]
        place = {"env": self.environment, "cwd": cwd or self.elsewhere}
        return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, **place)

    @contextmanager
    def up(self) -> Iterator[subprocess.Popen]:
        """The server process, from when it answers."""
        serve = ("server", "start", "--host", "127.0.0.1", "--port", str(self.port), "--no-ui")
        with self.started("server", *serve) as process:
            self.until(lambda: ask(f"{self.api_url}/health"), "server")
            yield process

    @contextmanager
    def worker(self, name: str, *options: str, **environment: str) -> Iterator[subprocess.Popen]:
        """A worker on the pool `gpu`, from when the server knows it."""
        command = ("worker", "start", "--pool", "gpu", "--name", name, *options)
        with self.started(name, *command, **environment) as it:
            self.until(lambda: name in [one["name"] for one in self.ask("work_pools/gpu/workers/filter")], name)
            yield it

    @contextmanager
    def started(self, name: str, *arguments: str, **environment: str) -> Iterator[subprocess.Popen]:
        """A Prefect process in a group of its own; the whole group ends with the block."""
        with (self.folder / f"{name}.log").open("a") as lines:
            process = subprocess.Popen(
                [sys.executable, "-m", "prefect", *arguments], env=self.environment | environment,
                cwd=self.elsewhere, stdout=lines, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            yield process
        finally:
            end(process)

    def deploy(self) -> str:
        """The commands of flows/prefect.yaml up to the workers; what `prefect deploy --all` said."""
        self("work-pool", "create", "gpu", "--type", "process").check_returncode()
        deployed = self("deploy", "--all", "--prefect-file", "flows/prefect.yaml", cwd=ROOT)
        assert deployed.returncode == 0, deployed.stdout + deployed.stderr
        automated = self("automation", "create", "--from-file", "flows/automations.yaml", cwd=ROOT)
        assert automated.returncode == 0, automated.stdout + automated.stderr
        return deployed.stdout

    def clean(
        self, deployment: str = "adhoc", **parameters: str | int
    ) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
        """`prefect deployment run remove-objects/… -p … --watch`, and the flow run that came of it."""
        ended = self("deployment", "run", f"remove-objects/{deployment}", *given(parameters), "--watch")
        return ended, self.runs(deployment)[0]

    def begin(self, deployment: str = "adhoc", **parameters: str | int) -> str:
        """Have a deployment run, without waiting for it; the id of its flow run."""
        begun = self("deployment", "run", f"remove-objects/{deployment}", *given(parameters))
        assert begun.returncode == 0, begun.stdout + begun.stderr
        return next(part for line in begun.stdout.splitlines() if "UUID" in line for part in line.split()[-1:])

    def ask(self, path: str, **question: Any) -> Any:
        """What the server's API answers to a POST."""
        return ask(f"{self.api_url}/{path}", question)

    def run(self, run_id: str) -> dict[str, Any]:
        return ask(f"{self.api_url}/flow_runs/{run_id}")

    def until_state(self, run_id: str, *types: str, limit: float = LIMIT) -> dict[str, Any]:
        """A flow run as soon as it is in one of these states."""
        return self.until(lambda: (run := self.run(run_id))["state"]["type"] in types and run, limit=limit)

    def states(self, run_id: str) -> list[str]:
        """The names of all states that a flow run was in, in order."""
        found = ask(f"{self.api_url}/flow_run_states/?flow_run_id={run_id}")
        return [state["name"] for state in sorted(found, key=lambda state: state["timestamp"])]

    def runs(self, deployment: str = "adhoc") -> list[dict[str, Any]]:
        """The flow runs of a deployment, the latest first."""
        of = {"name": {"any_": [deployment]}}
        return self.ask("flow_runs/filter", sort="EXPECTED_START_TIME_DESC", deployments=of)

    def waiting(self) -> list[str]:
        """The flow runs that a worker of the pool would be given now."""
        found = self.ask("work_pools/gpu/get_scheduled_flow_runs", limit=20)
        return [one["flow_run"]["id"] for one in found]

    def first_runs(self, deployment: str, limit: float) -> list[dict[str, Any]]:
        """The flow runs of a deployment as soon as there are some; TimeoutError after `limit` seconds without."""
        return self.until(lambda: self.runs(deployment), limit=limit)

    def artifacts(self, run: dict[str, Any]) -> dict[str, Any]:
        """What a flow run left to look at: type and data by key."""
        found = self.ask("artifacts/filter", flow_runs={"id": {"any_": [run["id"]]}})
        return {artifact["key"]: (artifact["type"], artifact["data"]) for artifact in found if artifact["key"]}

    def log(self, run: dict[str, Any]) -> list[str]:
        """The lines of a flow run's log."""
        found = self.ask("logs/filter", logs={"flow_run_id": {"any_": [run["id"]]}}, sort="TIMESTAMP_ASC")
        return [line["message"] for line in found]

    def until(self, answer: Callable[[], Any], log: str = "server", limit: float = LIMIT) -> Any:
        """Poll until there is an answer, and return it; a server that is not there yet has none."""
        end_of_patience = time.monotonic() + limit
        while time.monotonic() < end_of_patience:
            try:
                if found := answer():
                    return found
            except OSError:
                pass
            time.sleep(0.3)
        raise TimeoutError(f"no answer in {limit:.0f} s\n{(self.folder / f'{log}.log').read_text()[-4000:]}")


def prefect_server(home: Path, folder: Path) -> PrefectServer:
    """A server on a free port that keeps its database in `home`; not running yet."""
    (folder / "elsewhere").mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    where = {"PREFECT_HOME": str(home), "PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    return PrefectServer(port, own | QUIET | where, folder)


@contextmanager
def deployed(home: Path, folder: Path, *workers: str) -> Iterator[PrefectServer]:
    """A running server with the deployments, the automations and these workers."""
    server = prefect_server(home, folder)
    with ExitStack() as stack:
        stack.enter_context(server.up())
        server.deploy()
        for name in workers:
            stack.enter_context(server.worker(name))
        yield server


def given(parameters: dict[str, Any]) -> list[str]:
    """As `-p` takes them: words as they are, switches as JSON."""
    said = {name: json.dumps(value) if isinstance(value, bool) else value for name, value in parameters.items()}
    return [part for name, value in said.items() for part in ("-p", f"{name}={value}")]


def end(process: subprocess.Popen) -> None:
    """End a process and its group, politely at first."""
    for last_word, patience in ((signal.SIGTERM, 20), (signal.SIGKILL, 20)):
        if process.poll() is None:
            os.killpg(process.pid, last_word)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue


def ask(url: str, question: dict[str, Any] | None = None) -> Any:
    """GET, or POST of a question, as JSON."""
    body = None if question is None else json.dumps(question).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body, {"content-type": "application/json"})) as answer:
        return json.load(answer)
