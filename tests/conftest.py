"""What tests of several rooms share: one thread, no hub, scenes to look at, and a finder that is always right."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when huggingface_hub is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["CLEANPLATE_CACHE"] = tempfile.mkdtemp(prefix="cleanplate-tests-")  # not the user's own

import numpy as np
import pytest
from hypothesis import settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a script's "&" leaves it, for every process below too
    signal.signal(signal.SIGINT, signal.default_int_handler)
atexit.register(shutil.rmtree, os.environ["CLEANPLATE_CACHE"], ignore_errors=True)
settings.register_profile("cleanplate", deadline=None, max_examples=60)  # a busy machine is no failure
settings.load_profile("cleanplate")


@pytest.fixture(autouse=True)
def one_thread():
    """Torch on one thread, where a test has it loaded at all: the order of sums decides the last bit."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def scenes():
    """Twelve scenes that no bundled checkpoint has seen."""
    from removal.bundled.scenes import scene

    return [scene(seed) for seed in range(500, 512)]


@pytest.fixture
def picture():
    """A function that draws a smooth colour picture H×W×3 uint8 with a little noise, the same for the same size."""

    def draw(height: int, width: int) -> np.ndarray:
        y, x = np.mgrid[0:height, 0:width]
        noise = np.random.default_rng((height, width)).normal(0, 3, (height, width, 3))
        colours = np.stack([60 + x % 90, 90 + y % 70, 150 - (x + y) % 80], axis=-1)
        return np.clip(colours + noise, 0, 255).astype(np.uint8)

    return draw


@pytest.fixture
def no_network(monkeypatch):
    """Any attempt to reach another machine fails the test."""
    import socket

    def refuse(*_, **__):
        pytest.fail("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
