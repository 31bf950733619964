"""The map of the house: who may import whom. Read from the syntax trees."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("flows", "masks", "removal")
FILES = {file.relative_to(ROOT).as_posix(): file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))}
HEAVY = {"torch", "torchvision", "diffusers", "transformers", "segment_anything"}
LIGHT = [  # what is imported before anyone knows whether a model is needed
    "masks/__init__.py",
    "masks/prompts.py",
    "masks/segmenters.py",
    "masks/morphology.py",
    "removal/__init__.py",
    "removal/removers.py",
    "removal/choice.py",
    "flows/cli/main.py",
    "flows/cli/verbs/job.py",
    "flows/outcome.py",
    "flows/job.py",
]


def imports(name: str, at_once: bool = False) -> set[str]:
    """Dotted names that a file imports; with `at_once` only those that importing the file itself runs."""
    return set(_imports(ast.parse(FILES[name].read_text()), name, at_once))


def _imports(node: ast.AST, name: str, at_once: bool) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            here = name.removesuffix(".py").split("/")[: -child.level] if child.level else []
            module = ".".join([*here, *filter(None, [child.module])])
            yield from (f"{module}.{alias.name}" for alias in child.names)
        elif isinstance(child, ast.Call) and _called(child) in ("import_module", "__import__") and child.args:
            yield str(getattr(child.args[0], "value", "?"))
        if at_once and (
            isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test))
        ):
            continue
        yield from _imports(child, name, at_once)


def _called(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def importers(package: str, at_once: bool = False) -> set[str]:
    return {name for name in FILES if any(i.split(".")[0] == package for i in imports(name, at_once))}


@pytest.mark.parametrize("room", ["masks", "removal"])
def test_masks_and_removal_import_neither_each_other_nor_flows_but_for_the_room_of_weights(room):
    others = set(ROOMS) - {room}
    for name in FILES:
        if name.startswith(f"{room}/"):
            taken = [i for i in imports(name) if i.split(".")[0] in others]
            assert not [i for i in taken if not i.startswith("removal.weights.")], name


def test_only_the_flow_imports_prefect_and_what_serves_or_examines_it():
    assert importers("prefect", at_once=True) - {"flows/serve.py"} == {"flows/remove_objects.py"}
    allowed = {"flows/remove_objects.py", "flows/serve.py", "flows/cli/doctor.py", "flows/deploy/tracking.py"}
    assert importers("prefect") <= allowed


def test_the_flow_is_imported_only_when_a_verb_needs_it():
    for name in FILES:
        assert not [i for i in imports(name, at_once=True) if i.startswith("flows.remove_objects")], name


@pytest.mark.parametrize("name", LIGHT)
def test_what_is_imported_first_imports_no_heavy_library(name):
    assert not {i.split(".")[0] for i in imports(name, at_once=True)} & HEAVY


@pytest.mark.parametrize("module", ["flows.cli.main", "masks", "removal"])
def test_importing_a_room_or_the_command_line_loads_no_heavy_library(module):
    program = f"import sys, {module}; print(*sorted({HEAVY | {'prefect'}!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert answer.stdout.strip() == ""


def test_only_one_file_opens_pictures_and_one_more_writes_png():
    # The others read what pictures.py opened.
    opening = {f"flows/formats/{name}.py" for name in ("pictures", "metadata", "deep", "frames", "mask_files")}
    writing = {"flows/formats/encoding.py", "flows/formats/tiff.py", "flows/formats/drawings.py"}
    assert importers("PIL") == opening | writing
    # Pillow takes four times as long for a PNG, and narrows 16 bits to 8.
    by_opencv = {"flows/formats/deep.py": {"imdecode"}}
    for name, file in FILES.items():
        calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
        opens = "Image.open" in {ast.unparse(call.func) for call in calls}
        assert opens == (name == "flows/formats/pictures.py"), name
        done = {"imread", "imwrite", "imdecode", "imencode"} & {_called(call) for call in calls}
        assert done == by_opencv.get(name, set()), name
    of_png = {name for name in FILES if "flows.formats.png.encode_png" in imports(name)}
    assert of_png == {"flows/formats/encoding.py", "flows/formats/mask_files.py"}


def test_only_the_command_line_exits_and_the_watchdog_and_a_worker_where_nothing_else_can_end_a_call():
    may = {"flows/cli/main.py": {"sys.exit"}}
    may |= {name: {"os._exit"} for name in ("flows/threads/watchdog.py", "flows/formats/jpeg_worker.py")}
    for name, file in FILES.items():
        called = {ast.unparse(n.func) for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Call)}
        assert called & {"sys.exit", "exit", "os._exit", "SystemExit"} == may.get(name, set()), name


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_in_one_sitting(name):
    assert len(FILES[name].read_text().splitlines()) <= 310


@pytest.mark.parametrize("name", FILES)
def test_a_file_says_in_its_first_line_what_it_is_for(name):
    tree = ast.parse(FILES[name].read_text())
    assert not tree.body or ast.get_docstring(tree)


def test_this_map_sees_every_kind_of_import(tmp_path, monkeypatch):
    """The scanner itself: what it must see, and what it must not take for an import that runs at once."""
    (tmp_path / "all.py").write_text(
        "import a.b, c\n"
        "from d import e\n"
        "from . import f\n"
        "class K:\n    import g\n"
        "try:\n    import h\nexcept ImportError:\n    pass\n"
        "def later():\n    import i\n    importlib.import_module('j.k')\n"
        "if TYPE_CHECKING:\n    import l\n"
    )
    monkeypatch.setitem(FILES, "room/all.py", tmp_path / "all.py")
    assert imports("room/all.py", at_once=True) == {"a.b", "c", "d.e", "room.f", "g", "h"}
    assert imports("room/all.py") == {"a.b", "c", "d.e", "room.f", "g", "h", "i", "j.k", "l"}
