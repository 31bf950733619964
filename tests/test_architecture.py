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


# Who may import whom: a file those of its own line and of the lines below. A path stands for a file or a folder.
ORDER = [
    ("flows/__main__.py", "flows/serve.py"),  # programs: they speak and exit as the command line does
    ("flows/cli",),
    ("flows/review",),
    ("flows/export", "flows/samples", "flows/deploy/tracking.py"),
    ("flows/remove_objects.py",),
    ("flows/deploy",),  # what the flow runs on, and logs
    ("flows/run.py", "flows/merge.py"),
    ("flows/preflight.py", "flows/portions.py", "flows/canary.py", "flows/finish.py"),
    ("flows/page",),
    ("flows/records",),
    ("flows/ledger",),
    ("flows/steps",),
    ("flows/requests",),
    ("flows/annotations",),
    ("flows/places",),
    ("flows/formats",),
    ("flows/settings/job_file.py", "flows/settings/parameters.py"),  # the faces of a job
    ("flows/job.py", "flows/outcome.py"),
    ("flows/settings",),
    ("flows/messages",),
    ("flows/errors.py",),
    ("flows/threads",),
    ("masks/__init__.py",),
    ("masks/segmenters.py",),
    ("masks/loading.py",),
    ("masks/sam3.py",),  # made of the pieces of others
    ("masks/clipseg.py", "masks/grounding.py", "masks/sam.py", "masks/sam2.py"),
    ("masks/detectors.py", "masks/shapes.py"),
    ("masks",),  # single pieces: prompts, morphology, selection, …, and what ships
    ("removal/__init__.py",),
    ("removal/removers.py",),
    ("removal/choice.py",),
    ("removal/methods",),
    ("removal/quality.py",),
    ("removal/painting",),
    ("removal/fills", "removal/verify.py"),
    ("removal/crops",),
    ("removal/checkpoints",),
    ("removal/bundled",),
    ("removal/options.py",),
    ("removal/weights",),
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


def arrows() -> dict[str, set[str]]:
    """For every file those that it imports: at once, within functions, or for its types alone."""
    modules = {name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): name for name in FILES}
    found: dict[str, set[str]] = {name: set() for name in FILES}
    for name in FILES:
        for dotted in imports(name):
            parts = dotted.split(".")
            heads = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
            if (meant := next((modules[head] for head in heads if head in modules), name)) != name:
                found[name].add(meant)
    return found


def circles(to: dict[str, set[str]]) -> set[frozenset[str]]:
    """The largest sets of files that all reach each other."""
    reached = {name: _reached(to, name) for name in to}
    return {
        frozenset({name} | {o for o in reached[name] if name in reached[o]}) for name in to if name in reached[name]
    }


def _reached(to: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    ahead = [*to[start]]
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            ahead += to[name]
    return seen


def place(name: str) -> tuple[int, str] | None:
    """A file's line of ORDER and its room: the longest path that it is or lies below. None where it has none."""
    rooms = [(level, room) for level, line in enumerate(ORDER) for room in line if f"{name}/".startswith(f"{room}/")]
    return max(rooms, key=lambda one: len(one[1]), default=None)


def climbs(to: dict[str, set[str]]) -> set[tuple[str, str]]:
    """The rooms between which an import goes up, or across to another of the same line."""
    found = set()
    for name, others in to.items():
        for other in others:
            here, there = place(name), place(other)
            if here and there and here != there and there[0] <= here[0]:
                found.add((here[1], there[1]))
    return found


def test_no_files_import_each_other_in_a_circle():
    assert [sorted(names) for names in circles(arrows())] == []


def test_imports_go_one_way_down_the_list_of_rooms():
    assert climbs(arrows()) == set()


@pytest.mark.parametrize("name", [name for name in FILES if name != "flows/__init__.py"])
def test_every_file_has_its_room(name):
    assert place(name)


def test_the_hall_holds_few_files():
    assert len([file for file in (ROOT / "flows").iterdir() if file.is_file()]) <= 16


@pytest.mark.parametrize(
    ("code", "circle", "climb"),
    [
        ("from removal.methods.table import METHODS\n", False, True),
        ("def later():\n    from removal.crops import remover\n", True, False),
        ("if TYPE_CHECKING:\n    from removal.painting.pipelines import load\n", True, True),
        ("from removal.weights import hub\n", False, False),
    ],
)
def test_a_planted_circle_and_a_planted_climb_are_seen(tmp_path, monkeypatch, code, circle, climb):
    planted = tmp_path / "crop.py"
    planted.write_text(FILES["removal/crops/crop.py"].read_text() + code)
    monkeypatch.setitem(FILES, "removal/crops/crop.py", planted)
    assert any("removal/crops/crop.py" in names for names in circles(arrows())) == circle
    assert bool(climbs(arrows())) == climb


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
def test_a_function_is_read_at_a_glance(name):
    """At most 40 lines from `def` to its last, the docstring with them."""
    assert long_functions(FILES[name].read_text()) == []


def long_functions(code: str) -> list[str]:
    functions = [n for n in ast.walk(ast.parse(code)) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return [f.name for f in functions if (f.end_lineno or 0) - f.lineno >= 40]


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_function_of_41_lines_is_seen(kind):
    assert long_functions(f'{kind} fits():\n    """It."""\n' + "    x = 1\n" * 38) == []
    assert long_functions(f'{kind} long():\n    """It."""\n' + "    x = 1\n" * 39) == ["long"]


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


def test_contributing_has_every_room_on_its_map():
    told = (ROOT / "CONTRIBUTING.md").read_text()
    rooms = [
        place for top in ("flows", "removal") for place in (ROOT / top).iterdir() if (place / "__init__.py").exists()
    ]
    assert len(rooms) > 20
    assert [place.name for place in rooms if f"`{place.name}/`" not in told] == []
