"""What is in the wheel that people install, what PyPI shows of it, and that it works where nothing else is."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib.resources import files
from pathlib import Path

import pytest

from flows.formats.pictures import decode

ROOT = Path(__file__).parents[2]
LEARNS = re.compile(r"\.backward\(|torch\.optim|\.train\(\)|requires_grad_\(True\)")


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The wheel, built from this checkout by its own build backend."""
    builders = pytest.importorskip("hatchling.builders.wheel", reason="hatchling comes with the extra `dev`")
    (file,) = builders.WheelBuilder(str(ROOT)).build(
        directory=str(tmp_path_factory.mktemp("dist")), versions=["standard"]
    )
    return Path(file)


@pytest.fixture(scope="module")
def wheel(built) -> zipfile.ZipFile:
    return zipfile.ZipFile(built)


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel):
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"flows", "masks", "removal"}


def test_the_wheel_has_no_training_code(wheel):
    sources = [name for name in wheel.namelist() if name.endswith(".py")]
    assert len(sources) > 100
    assert not [name for name in sources if LEARNS.search(wheel.read(name).decode())]
    assert not [name for name in sources if "train" in name.split("/")[-1]]


def test_the_wheel_has_the_bundled_weights_their_hashes_and_what_draws_scenes(wheel):
    names = set(wheel.namelist())
    for room in ("removal/bundled", "masks/bundled"):
        lines = wheel.read(f"{room}/SHA256SUMS").decode().splitlines()
        assert {f"{room}/{line.split('  ')[1]}" for line in lines} <= names
    assert {f"removal/bundled/{name}.py" for name in ("scenes", "things", "backgrounds", "night")} <= names


def test_pypi_shows_the_readme_without_a_link_that_leads_nowhere(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    shown = wheel.read(name).decode().split("\n\n", 1)[1]
    assert "\ncleanplate run photo.jpg clean.jpg" in shown
    assert "| flows/README.md | " in shown
    links = re.findall(r"\]\(([^)]*)\)", shown)
    assert links
    assert all(link.startswith("https://") for link in links)


class Alone:
    """The installed wheel in an environment of its own, run in a folder with a photo and nothing of the checkout."""

    def __init__(self, env: Path, desk: Path):
        self.bin, self.desk = env / "bin", desk

    def __call__(self, *words: str) -> str:
        kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        ended = subprocess.run(
            [self.bin / words[0], *words[1:]], cwd=self.desk, capture_output=True, text=True, env=kept, timeout=600
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout + ended.stderr


def installed(built: Path, place: Path, borrowed: bool) -> Alone:
    """The wheel in an empty environment; its dependencies are fetched, or `borrowed` from the one that runs this."""
    env, desk = place / "env", place / "desk"
    venv.create(env, with_pip=False)
    if borrowed:
        ours = sysconfig.get_path("purelib", vars={"base": str(env), "platbase": str(env)})
        Path(ours, "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    pip = [sys.executable, "-m", "pip", "--python", str(env / "bin" / "python"), "--disable-pip-version-check"]
    how = ["--no-deps", "--no-index"] if borrowed else ["--constraint", str(ROOT / "tests" / "constraints.txt")]
    subprocess.run([*pip, "install", "--quiet", *how, str(built)], check=True)
    (desk / "photos").mkdir(parents=True)
    (desk / "masks").mkdir()
    photo = files("flows.samples").joinpath("photos/rocket.jpg").read_bytes()
    for name in ("photo.jpg", "photos/rocket.jpg"):
        (desk / name).write_bytes(photo)
    return Alone(env, desk)


def without_weights() -> list[str]:
    """The commands of the README's first photo that need nothing fetched, as they stand there."""
    block = (ROOT / "README.md").read_text().split("## Your first photo")[1].split("```sh\n")[1].split("```")[0]
    return [line.split("#")[0] for line in block.splitlines() if line.startswith("cleanplate run")]


@pytest.mark.parametrize("borrowed", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_the_wheel_in_an_empty_environment_does_what_the_readme_says_first(built, tmp_path, borrowed):
    alone = installed(built, tmp_path, borrowed)
    code = "import flows, masks, removal; print(*(room.__file__ for room in (flows, masks, removal)))"
    assert all(place.startswith(str(tmp_path)) for place in alone("python", "-c", code).split())
    one, folder = without_weights()
    alone(*shlex.split(one))
    mask = next((alone.desk / "clean.jpg.cleanplate" / "masks").iterdir())
    shutil.copy(mask, alone.desk / "masks" / "rocket.png")
    alone(*shlex.split(folder))
    before = decode((alone.desk / "photo.jpg").read_bytes()).image
    for cleaned in ("clean.jpg", "cleaned/images/rocket.jpg"):
        after = decode((alone.desk / cleaned).read_bytes()).image
        assert after.shape == before.shape
        assert 0.01 < (after != before).any(axis=2).mean() < 0.2
    assert "1  removed" in alone("cleanplate", "status", "cleaned")


@pytest.mark.slow
def test_the_demo_of_the_wheel_needs_nothing_of_the_checkout(built, tmp_path):
    alone = installed(built, tmp_path, borrowed=True)
    assert "Completed: 2 removed" in alone("cleanplate", "demo", "demo/result", "--count", "2")
    assert (alone.desk / "demo" / "before-after.jpg").exists()
