"""`python -m tests.benchmarks.bench`: all tiers, or some, as a table; with --json FILE also as figures.

0 counts what is computed for a picture (no clock), 1 shows that it is the same picture, 2 how busy a run keeps a device
that sleeps or holds the interpreter, 3 how much faster a folder is done than by a plain diffusers loop, 4 how fast
full-size networks run on a GPU, and how much of its peak they take; without one, tiny networks on the CPU stand for
these. Tier 4 has parts (`--part files,painter,unet,vae,compile,sam,dino`) and models (`--model sd15,sdxl,lama`).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from flows.steps.loading import quiet_libraries
from tests.benchmarks.bench.figures import Figure, table

TIERS = ("work", "same_picture", "simulated_device", "ratio", "gpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiers", default="0,1,2,3,4", help="such as 0,1,2")
    parser.add_argument("--part", default="", help="of tier 4, such as files,vae; see bench/gpu.py")
    parser.add_argument("--model", default="", help="for tier 4, such as sdxl,lama")
    parser.add_argument("--compile", default="off", choices=("on", "off", "auto"), help="for tier 4: the model")
    parser.add_argument("--quick", action="store_true", help="fewer pictures and rounds, for a look")
    parser.add_argument("--threads", type=int, default=1, help="of torch, on a CPU")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    quiet_libraries()
    torch.set_num_threads(given.threads)
    about = machine(given.threads)
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    found: list[Figure] = []
    for tier in map(int, given.tiers.split(",")):
        began = time.monotonic()
        chosen = {"parts": _listed(given.part), "models": _listed(given.model), "compile": given.compile}
        measure = import_module(f"tests.benchmarks.bench.{TIERS[tier]}").measure
        figures = measure(given.quick, **chosen) if TIERS[tier] == "gpu" else measure(given.quick)
        found += [Figure(tier, *figure) for figure in figures]
        print(f"\ntier {tier}, {time.monotonic() - began:.0f} s\n{table(found, tier)}", flush=True)
    if given.json:
        rows = [figure.as_dict() for figure in found]
        given.json.write_text(json.dumps({"machine": about, "figures": rows}, indent=1) + "\n")


def _listed(text: str) -> list[str]:
    return [one for one in text.split(",") if one]


def machine(threads: int) -> dict[str, Any]:
    """What the figures were taken on."""
    import diffusers

    gpus = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "load": round(os.getloadavg()[0], 1),
        "gpu": ", ".join(gpus) or "none",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
