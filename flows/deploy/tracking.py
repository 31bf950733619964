"""Starts a run as the Prefect flow if it is to be tracked. Imports Prefect, which takes a second, only then."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.errors import EnvironmentFault
from flows.job import PATHS, Job
from flows.places.bucket import whole_path

if TYPE_CHECKING:
    from prefect.client.schemas import State


def server_configured() -> bool:
    """True if Prefect has a server, by environment or profile; without importing Prefect, which takes 1 s."""
    if os.environ.get("PREFECT_API_URL"):
        return True
    home = Path(os.path.expanduser(os.environ.get("PREFECT_HOME", "~/.prefect")))
    file = Path(os.path.expanduser(os.environ.get("PREFECT_PROFILES_PATH", home / "profiles.toml")))
    if not file.exists():
        return False
    profiles = tomllib.loads(file.read_text())
    active = os.environ.get("PREFECT_PROFILE", profiles.get("active", ""))
    return bool(profiles.get("profiles", {}).get(active, {}).get("PREFECT_API_URL"))


def whole_paths(settings: Job) -> dict[str, Any]:
    """The given settings as parameters of the flow, with absolute paths."""
    given = settings.model_dump(exclude_unset=True)
    return given | {key: whole_path(given[key]) for key in PATHS if given.get(key)}


def run_as_flow(settings: Job) -> State:
    """Run as the flow, on the configured server or on Prefect's own temporary one."""
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")  # 20 s is short on a busy machine
    import asyncio

    from flows.remove_objects import remove_objects

    try:
        return asyncio.run(remove_objects(**whole_paths(settings), return_state=True))
    except RuntimeError as error:
        if "Failed to reach API" not in str(error):
            raise
        raise EnvironmentFault(f"{error}; start the server, or run without it: --no-flow") from error
