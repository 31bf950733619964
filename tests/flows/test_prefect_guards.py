"""What Prefect does to us in silence when a library under it changes, and what ties the flow to Job."""

import json
import logging
import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires, version
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement
from rich.text import Text

from flows.errors import EnvironmentFault, UsageError
from flows.job import PATHS, Job
from flows.ledger.lock import Busy
from tests.flows.small import small

ROOT = Path(__file__).parents[2]


def test_prefects_server_imports():
    """With a FastAPI that is too new it does not, and nothing runs at all."""
    command = [sys.executable, "-c", "import prefect.server.api.server"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 0, ended.stderr


def test_prefect_itself_caps_fastapi_and_the_installed_one_obeys():
    """Since 3.9, our floor: before that its server died by a FastAPI that it allowed."""
    [asked] = [one for one in map(Requirement, requires("prefect") or []) if one.name == "fastapi"]
    assert re.search(r"<0\.\d", str(asked.specifier)), "without a cap of its own, ours has to come back"
    assert asked.specifier.contains(version("fastapi"))


@pytest.mark.parametrize("package", ["prefect", "sqlalchemy"])
def test_installed_versions_obey_the_caps(package):
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    [asked] = [one for one in map(Requirement, dependencies) if one.name == package]
    assert re.search(r"<\d", str(asked.specifier)), f"{package} needs a cap"
    assert asked.specifier.contains(version(package)), f"{package} {version(package)} is not {asked.specifier}"


def test_the_flows_parameters_are_exactly_the_fields_of_a_job():
    from flows.remove_objects import remove_objects

    form = remove_objects.parameters.properties
    assert sorted(form, key=lambda name: form[name]["position"]) == list(Job.model_fields)
    assert remove_objects.parameters.required == ["source", "target"]
    for name, about in Job.model_fields.items():
        if name not in ("source", "target"):
            assert form[name]["default"] == about.get_default(), name


def test_the_flows_form_has_every_description_type_and_limit():
    from flows.remove_objects import remove_objects

    for name, own in Job.model_json_schema()["properties"].items():
        shown = {key: value for key, value in remove_objects.parameters.properties[name].items() if key != "position"}
        if own.get("type") == "array":  # one phrase may be given as such: `-p text=person`
            own["anyOf"] = [{"type": own["items"]["type"]}, {"type": own.pop("type"), "items": own.pop("items")}]
        if name in PATHS:  # a run's folder is another than that of whoever asks for it
            assert re.search(shown.pop("pattern"), "/data/in"), name
        for facts in (own, shown):
            facts.pop("title")
            facts.pop("default", None)
        assert shown == own, name


def test_patterns_of_the_form_are_shown_as_they_are_by_prefects_command():
    """It takes square brackets in its own errors for tags of Rich, such as [/~], and dies of them."""
    from flows.remove_objects import remove_objects

    form = json.dumps(remove_objects.parameters.model_dump(mode="json"))
    patterns = [*re.findall(r'"pattern": ("(?:[^"\\\\]|\\\\.)*")', form)]
    assert len(patterns) >= 8
    for pattern in map(json.loads, patterns):
        assert Text.from_markup(pattern).plain == pattern


@pytest.mark.parametrize(("text", "phrases"), [("person", ["person"]), (["red ball", "cat"], ["red ball", "cat"])])
def test_text_is_one_phrase_or_several(text, phrases):
    from flows.remove_objects import remove_objects

    given = remove_objects.validate_parameters({"source": "/data/in", "target": "/data/out", "text": text})
    assert Job(**given).text == phrases


def test_a_deployment_refuses_relative_paths(monkeypatch):
    """Its worker starts every run in a temporary folder, and a result put there would be lost."""
    from flows.remove_objects import refuse_relative_paths

    refuse_relative_paths(Job(source="in", target="out"))  # a run from the command line has a folder to start from
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "some")
    refuse_relative_paths(Job(source="/data/in", target="~/out", masks="s3://pictures/masks"))
    with pytest.raises(UsageError, match="target"):
        refuse_relative_paths(Job(source="/data/in", target="out"))


@pytest.mark.parametrize("name", sorted(PATHS))
def test_the_server_refuses_a_relative_path_before_there_is_a_run(name):
    """By the schema of the deployment, which it holds against the parameters when a run is asked for."""
    from prefect.utilities.schema_tools.validation import validate

    from flows.remove_objects import remove_objects

    form, right = remove_objects.parameters.model_dump(mode="json"), {"source": "/data/in", "target": "/data/out"}
    for path in ("/a", "~/a", "~", "file:///a", "file:/a", "s3://a/b", "GS://a", "/a b\nc") + ("",) * (
        name not in right
    ):
        assert validate(right | {name: path}, form) == [], path
    for path in ("photos", "./a", "../a", "a/b", ".", "file:a", "s3:a", " /a") + ("",) * (name in right):
        [refused] = validate(right | {name: path}, form)
        assert list(refused.path) == [name]
    assert remove_objects.validate_parameters(right | {name: "photos"})[name] == "photos"  # a call has a folder


def test_what_is_wrong_with_a_deployments_parameters_is_said_in_lines_of_its_own_words(monkeypatch):
    """No traceback of thirty lines, and no flags, which `prefect deployment run` does not have."""
    import asyncio

    from flows import remove_objects as flow

    monkeypatch.setattr(flow, "deployment", SimpleNamespace(id="some"))
    monkeypatch.setattr(flow, "get_run_logger", lambda: logging.getLogger("run"))
    for given, words in (
        ({"source": "in", "target": "/out", "text": "a"}, "source: a deployment needs the whole path"),
        ({"source": "/in", "target": "/out", "text": "a", "max_failures": "x"}, "-p max_failures=…: failures allowed"),
        ({"source": "/in", "target": "/out", "text": "a", "shard": "3/2"}, "-p shard=…: a shard is i/n"),
    ):
        state = asyncio.run(flow.remove_objects.fn(**given))
        assert (state.type, words in state.message) == ("FAILED", True), state.message
        assert "--" not in state.message
        assert len(state.message.splitlines()) == 1


@pytest.fixture
def ended_as_deployed(tmp_path, monkeypatch):
    """How a run of a deployment ends, by what its parameters are beside a folder of small pictures."""
    import asyncio

    from flows import remove_objects as flow

    monkeypatch.setattr(flow, "deployment", SimpleNamespace(id="some"))
    monkeypatch.setattr(flow, "get_run_logger", lambda: logging.getLogger("run"))
    job = small(tmp_path, 1).model_dump(exclude_unset=True)

    def ended(**given):
        return asyncio.run(flow.remove_objects.fn(**{key: value for key, value in (job | given).items() if value}))

    return ended


def test_a_missing_source_or_a_bad_file_of_prompts_ends_a_deployed_run_in_a_line(tmp_path, ended_as_deployed):
    prompts = tmp_path / "in" / "prompts.jsonl"
    prompts.write_text('{"file_name": "p00.png", "text": "a"}\n{"text": "a"}\n')
    (tmp_path / "target").write_bytes(b"mine")
    nowhere = str(tmp_path / "nowhere")
    for given, words in (
        ({"source": nowhere}, f"-p source={nowhere}: there is no folder or picture at"),
        ({"masks": "", "prompts": str(prompts)}, f"-p prompts={prompts}: {prompts}, line 2: a row is an object with"),
        ({"masks": nowhere}, f"-p masks={nowhere}: there is no mask or folder of masks at"),
        ({"masks": "", "coco": nowhere, "category": "a"}, f"-p coco={nowhere}: there is no COCO file at"),
        ({"target": str(tmp_path / "target")}, f"-p target={tmp_path}/target: the target"),
        ({"masks": ""}, "say what to remove: text, point"),
    ):
        state = ended_as_deployed(**given)
        assert (state.type, words in state.message) == ("FAILED", True), state.message
        assert len(state.message.splitlines()) == 1
        assert "--" not in state.message


def test_a_machine_at_fault_or_a_target_in_use_ends_a_deployed_run_in_a_line_too(
    tmp_path, ended_as_deployed, monkeypatch
):
    from flows import run as job

    for error in (EnvironmentFault("the disk is full"), Busy("another run is working on it"), ImportError("no cv2")):
        monkeypatch.setattr(job, "run", raises(error))
        state = ended_as_deployed()
        assert (state.type, state.message) == ("FAILED", str(error))
    monkeypatch.setattr(job, "run", raises(KeyError("ours")))
    with pytest.raises(KeyError):  # whose place in the code is to be seen
        ended_as_deployed()


def raises(error: Exception):
    def run(*_, **__):
        raise error

    return run


def test_a_flag_in_an_error_becomes_a_parameter_and_other_words_stay():
    from flows.remove_objects import as_parameters

    said = as_parameters(UsageError("give --max-pixels more, or `prefect --help`; a--b"))
    assert said == "give -p max_pixels=… more, or `prefect --help`; a--b"
