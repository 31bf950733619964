"""Ray: portions of a run on several GPUs and machines at once. Asked for by the variable CLEANPLATE_RAY, and so by a
deployment's environment: `local` for this machine's GPUs, or the address of a cluster such as 10.0.0.1:6379.

The flow stays one process, which alone writes the manifest; names go out and rows come back. Every machine needs the
source and the target at the same paths, and Cleanplate installed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flows.errors import EnvironmentFault, pip

VARIABLE = "CLEANPLATE_RAY"
TRIES_AGAIN = 2  # of a portion whose process or machine was lost; it writes the same files again


def asked_for() -> bool:
    return bool(os.environ.get(VARIABLE))


def task_runner() -> Any:
    """Prefect's task runner on the cluster; None for its default. Raises EnvironmentFault without the extra `ray`."""
    if not asked_for():
        return None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reads it when it starts
    try:
        from prefect_ray import RayTaskRunner
    except ImportError as error:
        raise EnvironmentFault(f"{VARIABLE} is set, and Ray is not there: {pip()} install 'cleanplate[ray]'") from error
    address = os.environ[VARIABLE]
    return RayTaskRunner(init_kwargs={"include_dashboard": False}) if address == "local" else RayTaskRunner(address)


def at_once() -> int:
    """The portions to have in progress there: one for each GPU, or CPU without any, and one that waits."""
    return 1 + _places("GPU", _places("CPU", 1)) if asked_for() else 0


@contextmanager
def one_gpu() -> Iterator[None]:
    """Tasks submitted in this block get a GPU of their own, if the cluster has any."""
    from prefect_ray.context import remote_options

    gpus = 1 if _places("GPU", 0) else 0
    with remote_options(
        num_gpus=gpus, max_calls=0, max_retries=TRIES_AGAIN
    ):  # 0: a process keeps its model for later tasks
        yield


def _places(kind: str, otherwise: int) -> int:
    import ray

    return int(ray.cluster_resources().get(kind, 0)) or otherwise
