"""`python -m flows.serve`: the deployments without a work pool, run on this machine; and the limits that deploying
sets.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from cyclopts import App

from flows.cli.main import main
from flows.deploy.tracking import server_configured, whole_paths
from flows.errors import EnvironmentFault, UsageError
from flows.settings.job_file import job_of

HEARTBEAT = "30"  # seconds; flows/automations.yaml waits for three of them


def serve(*, job: str = "", cron: str = "") -> None:
    """Make the deployment `adhoc`, with --cron also `nightly`, and run them here, one at a time, until Ctrl-C.

    Args:
        job: TOML file of settings for the schedule, such as the job.toml of a good result
        cron: when to run it, such as "0 2 * * *" for two o'clock every night
    """
    if not server_configured():
        raise EnvironmentFault(
            "no Prefect server is set: `prefect server start`, and `export PREFECT_API_URL=http://127.0.0.1:4200/api`"
        )
    if bool(job) != bool(cron):
        raise UsageError("a schedule needs both: --cron says when, --job says what")
    os.environ.setdefault("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", HEARTBEAT)
    from prefect import serve as run_here
    from prefect.deployments.runner import EntrypointType

    from flows.remove_objects import remove_objects

    deployment = partial(remove_objects.to_deployment, entrypoint_type=EntrypointType.MODULE_PATH)
    served: list[Any] = [deployment("adhoc", description="Clean a folder now.")]
    if cron:
        given = whole_paths(job_of(job, {}))
        served.append(deployment("nightly", cron=cron, parameters=given, description="Clean what is new in a folder."))
    run_here(*served, limit=1)  # one GPU, one job


def limit_pool(pool: str, gpus: int) -> None:
    """A step of `prefect deploy`: a work pool runs as many jobs at once as there are GPUs."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolUpdate

    with get_client(sync_client=True) as client:
        client.update_work_pool(pool, WorkPoolUpdate(concurrency_limit=gpus))


if __name__ == "__main__":
    app = App(name="python -m flows.serve")
    app.default(serve)
    main(app)
