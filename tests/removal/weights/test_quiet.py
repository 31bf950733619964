"""The Python API says nothing on stderr for the libraries below, and leaves them as it found them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
EXAMPLE = """
from masks import load_segmenter, TextPrompt, dilate
from removal import load_remover
from removal.bundled.scenes import scene

drawn = scene(500)
segment = load_segmenter("bundled", device="cpu")
remove = load_remover("bundled", device="cpu")
found = segment([drawn.image], [TextPrompt("red ball")])
results = remove([drawn.image], [dilate(f.mask | drawn.mask, 6) for f in found], seeds=[0])
assert results[0].shape == drawn.image.shape
"""
SHOWN = """
import diffusers.utils.logging, transformers.utils.logging
from huggingface_hub.utils import are_progress_bars_disabled
logs = [transformers.utils.logging, diffusers.utils.logging]
print([(log.is_progress_bar_enabled(), log.get_verbosity()) for log in logs], are_progress_bars_disabled())
"""


def test_the_example_of_the_library_says_nothing():
    assert _run(EXAMPLE) == ("", "")


@pytest.mark.parametrize("before", ["", SHOWN], ids=["imported by us", "imported before"])
def test_afterwards_the_libraries_show_what_they_showed_before(before):
    untouched, _ = _run(SHOWN)
    shown, _ = _run(before + EXAMPLE + SHOWN)
    assert shown.splitlines()[-1:] == untouched.splitlines()


def test_who_wants_no_bars_at_all_gets_none_afterwards_either():
    untouched, _ = _run(SHOWN, HF_HUB_DISABLE_PROGRESS_BARS="1")
    assert _run(EXAMPLE + SHOWN, HF_HUB_DISABLE_PROGRESS_BARS="1") == (untouched, "")


def _run(program: str, **variables: str) -> tuple[str, str]:
    """What a program that uses the library prints, and what comes on stderr, with the libraries' own settings."""

    own = ("HF_HUB_DISABLE_PROGRESS_BARS", "DIFFUSERS_VERBOSITY", "TRANSFORMERS_VERBOSITY")
    kept = {name: value for name, value in os.environ.items() if name not in own}
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, cwd=ROOT, env=kept | variables, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, ended.stderr
