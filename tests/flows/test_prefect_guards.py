"""What Prefect does to us in silence when a library under it changes, and what ties the flow to Job."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires, version
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from flows.errors import UsageError
from flows.job import Job

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
        for facts in (own, shown):
            facts.pop("title")
            facts.pop("default", None)
        assert shown == own, name


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


def test_what_is_wrong_with_a_deployments_parameters_is_said_in_lines_of_its_own_words(monkeypatch):
    """No traceback of thirty lines, and no flags, which `prefect deployment run` does not have."""
    import asyncio

    from flows import remove_objects as flow

    monkeypatch.setattr(flow, "deployment", SimpleNamespace(id="some"))
    for given, words in (
        ({"source": "in", "target": "/out", "text": "a"}, "source: a deployment needs the whole path"),
        ({"source": "/in", "target": "/out", "text": "a", "max_failures": "x"}, "-p max_failures=…: failures allowed"),
        ({"source": "/in", "target": "/out", "text": "a", "shard": "3/2"}, "-p shard=…: a shard is i/n"),
    ):
        state = asyncio.run(flow.remove_objects.fn(**given))
        assert (state.type, words in state.message) == ("FAILED", True), state.message
        assert "--" not in state.message
        assert len(state.message.splitlines()) == 1


def test_a_flag_in_an_error_becomes_a_parameter_and_other_words_stay():
    from flows.remove_objects import as_parameters

    said = as_parameters(UsageError("give --max-pixels more, or `prefect --help`; a--b"))
    assert said == "give -p max_pixels=… more, or `prefect --help`; a--b"
