"""The versions: what pyproject asks for, what the constraints pin, and what the command says of itself."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from flows import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = [one for extra in PROJECT["optional-dependencies"].values() for one in extra]
ASKED = list(map(Requirement, sorted({*PROJECT["dependencies"], *EXTRAS})))
CONSTRAINTS = (ROOT / "tests/constraints.txt").read_text()
PINNED = [Requirement(line) for line in CONSTRAINTS.splitlines() if line and not line.startswith("#")]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_every_dependency_has_a_floor(asked):
    """Without one pip may fall back to a release of years ago."""
    assert re.search(r">=\d", str(asked.specifier))


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_the_constraints_pin_every_dependency_to_a_release_that_is_asked_for(asked, python):
    here = {"python_version": python, "python_full_version": f"{python}.1"}
    pins = [pin for pin in PINNED if _same(pin.name, asked.name) and (not pin.marker or pin.marker.evaluate(here))]
    assert len(pins) == 1, "run make constraints"
    [pinned] = pins[0].specifier
    assert pinned.operator == "=="
    assert asked.specifier.contains(pinned.version), "run make constraints"


def test_the_constraints_name_no_index():
    assert "://" not in CONSTRAINTS
    assert not re.search(r"^\s*-", CONSTRAINTS, re.M)


def _same(one: str, other: str) -> bool:
    return re.sub(r"[-_.]+", "-", one).lower() == re.sub(r"[-_.]+", "-", other).lower()


def test_the_command_says_the_version_that_is_installed():
    assert _said(ROOT, "-m", "flows") == version("cleanplate") == __version__


def test_a_checkout_that_nobody_installed_says_its_version_too(tmp_path):
    for room in ("flows", "masks", "removal"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("*.safetensors", "__pycache__"))
    file = tmp_path / "flows/__init__.py"
    file.write_text(file.read_text().replace(__version__, "9.8.7"))
    assert _said(tmp_path, "-m", "flows") == "9.8.7"


def _said(place: Path, *program: str) -> str:
    return subprocess.check_output([sys.executable, *program, "--version"], cwd=place, text=True, timeout=60).strip()
