"""Tier 4, networks: the UNet and the autoencoder, eager, in a graph and compiled, beside the limit; and compiling."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch

from removal.painting.compiling import order_on
from removal.painting.graphs import cuda_graph
from removal.weights.devices import autoencoder_precision
from tests.benchmarks.bench import networks
from tests.benchmarks.bench.machine import DEVICE, DTYPE, GPU, Place, memory, settled

ROWS = {"sd15": 16, "sd2": 16, "sdxl": 4}
ONCE = """
import json, sys, time
began = time.monotonic()
from removal import load_remover
options = {"device": sys.argv[2], "compile": sys.argv[3], "batch_size": int(sys.argv[4])}
remove = load_remover(sys.argv[1], steps=2, strength=1.0, offline=True, **options)
print(json.dumps([time.monotonic() - began, remove.choice.reason]))
"""


def unet(place: Place) -> Iterator[tuple]:
    """Milliseconds a row of the UNet; the limit is its operations at the peak of a matrix product."""
    network, rows = networks.unet(place.model, place.small).to(DEVICE, DTYPE).eval(), _rows(place)
    given = networks.unet_inputs(network, rows, networks.unet_side(place.model, place.small), DEVICE, DTYPE)
    limit = networks.teraflops(place.model, place.small)["unet"] / place.peak
    yield from _ways(place, "UNet", network, lambda: network(**given).sample, rows, limit)


def vae(place: Place) -> Iterator[tuple]:
    """Milliseconds a picture of the autoencoder's halves, in the precision that it has beside a UNet here."""
    dtype = autoencoder_precision(DTYPE, DEVICE, overflows=place.model == "sdxl")
    network, side = networks.vae(place.model, place.small).to(DEVICE, dtype).eval(), _side(place)
    rows = max(1, _rows(place) // 2)
    latents = torch.randn(rows, 4, side, side, device=DEVICE, dtype=dtype)
    pictures = torch.randn(rows, 3, 8 * side, 8 * side, device=DEVICE, dtype=dtype)
    cost = networks.teraflops(place.model, place.small)
    for what, half, work in (
        ("decode", network.decoder, lambda: network.decode(latents)),
        ("encode", network.encoder, lambda: network.encode(pictures)),
    ):
        yield from _ways(place, what, half, work, rows, cost[what] / place.peak)


def compile(place: Place) -> Iterator[tuple]:
    """Seconds until a painter is ready: uncompiled, compiled for the first time, and by a second process."""
    model = networks.save(place.model, place.folder / "model", place.small)
    surroundings = os.environ | {"CLEANPLATE_CACHE": str(place.folder / "cache")}
    for what, compiled in (("uncompiled", "off"), ("cold", "on" if GPU else "off"), ("warm", "on" if GPU else "off")):
        call = [sys.executable, "-c", ONCE, str(model), DEVICE, compiled, str(_rows(place))]
        done = subprocess.run(call, env=surroundings, capture_output=True, text=True, check=True)
        took, reason = json.loads(done.stdout.splitlines()[-1])
        yield f"{place.model}: until it is ready, {what}", took, "s", "", reason if "not compiled" in reason else ""


def _ways(
    place: Place, what: str, network: torch.nn.Module, work: Callable[[], Any], rows: int, limit: float
) -> Iterator[tuple]:
    """One network in eager mode, replayed from a graph, and compiled in the order for that."""
    with torch.inference_mode():
        took = {"eager": settled(work)}
        if GPU:
            replay = cuda_graph(lambda _: work(), [torch.zeros(1, device=DEVICE)])
            took["in a graph"] = settled(lambda: replay([torch.zeros(1, device=DEVICE)]))
            del replay
        if GPU or not place.quick:  # without a GPU it is only traced, which takes a minute too
            network.to(memory_format=order_on(torch.device(DEVICE), compiled=True))
            network.compile(dynamic=False, backend="inductor" if GPU else "eager")
            took["compiled"] = settled(work)
    for way, seconds in took.items():
        yield f"{place.model}: {what}, {way}", 1000 * seconds / rows, "ms a row", "", f"limit {1000 * limit:.3g}"
        yield f"{place.model}: {what}, {way}: MFU", limit * rows / seconds
    yield from memory()


def _rows(place: Place) -> int:
    return 1 if place.small else ROWS[place.model]


def _side(place: Place) -> int:
    return networks.unet_side(place.model, place.small)
