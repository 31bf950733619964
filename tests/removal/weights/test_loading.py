"""One lock for every load of weights in a process, whoever asks for them."""

from __future__ import annotations

import ast
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from diffusers import StableDiffusionInpaintPipeline
from transformers import CLIPSegForImageSegmentation

from masks import load_segmenter, segmenters
from removal import load_remover, removers
from removal.weights.loading import LOADING

ROOT = Path(__file__).parents[3]


@pytest.fixture
def loads(monkeypatch):
    """Notes for each load whether another thread could have had the lock meanwhile."""
    free: list[bool] = []

    def noted(kind, inner):
        def from_pretrained(*given, **named):
            thread = threading.Thread(target=lambda: free.append(LOADING.acquire(blocking=False)))
            thread.start()
            thread.join(60)
            return inner(*given, **named)

        monkeypatch.setattr(kind, "from_pretrained", from_pretrained)

    for kind in (StableDiffusionInpaintPipeline, CLIPSegForImageSegmentation):
        noted(kind, kind.from_pretrained)
    segmenters._load.cache_clear()
    removers._load.cache_clear()
    yield free
    segmenters._load.cache_clear()
    removers._load.cache_clear()


def test_whoever_loads_weights_has_the_one_lock(loads):
    load_segmenter("bundled", device="cpu")
    assert loads == [False]  # CLIPSeg, by transformers: no other thread could have the lock
    load_remover("bundled", device="cpu")
    assert loads == [False, False]


def test_a_remover_waits_for_a_segmenter_that_is_being_loaded(loads):
    order: list[str] = []

    def load() -> None:
        load_remover("bundled", device="cpu")
        order.append("remover")

    with LOADING:  # as a segmenter has it
        thread = threading.Thread(target=load)
        thread.start()
        thread.join(0.2)
        assert (thread.is_alive(), loads) == (True, [])
        order.append("segmenter")
    thread.join(60)
    assert order == ["segmenter", "remover"]


def test_nobody_loads_by_the_libraries_own_functions_but_the_one_that_has_the_lock():
    found = {}
    for room in ("flows", "masks", "removal"):
        for file in sorted((ROOT / room).rglob("*.py")):
            calls = {
                getattr(n.func, "attr", "") for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Call)
            }
            if names := calls & {"from_pretrained", "from_single_file"}:
                found[file.relative_to(ROOT).as_posix()] = names
    assert found.pop("removal/weights/loading.py") == {"from_pretrained"}
    assert found.pop("removal/checkpoints/single_file.py") == {"from_single_file"}
    assert found == {}


def test_masks_run_nothing_of_removal_but_the_room_of_weights():
    program = (
        "import sys; from masks import load_segmenter; load_segmenter('bundled', device='cpu')\n"
        "print(*sorted(name for name in sys.modules if name.split('.')[0] in ('removal', 'flows')))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    others = [name for name in answer.stdout.split() if name != "removal" and not name.startswith("removal.weights")]
    assert "removal.weights.loading" in answer.stdout.split()
    assert others == []
