"""One Prefect server with one worker for all tests of the flow; nobody's own profile is touched."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.flows.prefect_server import PrefectServer, deployed

HOME = tempfile.TemporaryDirectory(prefix="cleanplate-prefect-")
os.environ["PREFECT_HOME"] = HOME.name  # read once, when Prefect is imported


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    with deployed(Path(HOME.name), tmp_path_factory.mktemp("prefect"), "one") as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Any]:
    """A real S3 server on loopback."""
    from tests.flows import s3

    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patch:
        proxy, server = s3.start()
        for name, value in (keys | {"AWS_ENDPOINT_URL": proxy.url, "AWS_MAX_ATTEMPTS": "2"}).items():
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


@pytest.fixture(scope="module")  # its event loop would be in the way of other tests that run one
def browser():
    from tests.flows.browser import started

    with started() as one:
        yield one


@pytest.fixture
def reading(browser):
    """A function that opens a page as one more reader. Whatever they do, nothing is complained of and nobody asked."""
    from tests.flows.browser import Reader

    readers = []

    def read(page, **options) -> Reader:
        readers.append(Reader(browser, page, **options))
        return readers[-1]

    yield read
    for reader in readers:
        assert reader.complaints == []
        assert reader.elsewhere() == []
        reader.close()
