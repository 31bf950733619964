"""The flow as it is deployed: a real server, a real worker, the commands of the README."""

import json
import shutil
from pathlib import Path

import pytest

from flows.samples import write_scenes


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("deployed") / "scenes"
    write_scenes(folder, count=3, seed=5)
    return folder


@pytest.fixture(scope="module")
def cleaned(server, scenes):
    """One deployment run over three scenes, by text, with the bundled models: its target, its command and its run."""
    target = scenes.parent / "out"
    ended, run = server.clean(
        source=scenes / "images", target=target, prompts=scenes / "prompts.jsonl", model="bundled", dilate=6
    )
    return target, ended, run


def rows(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def deployments(server) -> dict[str, dict]:
    return {row["name"]: row for row in server.ask("deployments/filter") if row["work_pool_name"] == "gpu"}


def test_deploy_all_makes_both_deployments(server):
    assert "remove-objects/adhoc" in server.deployed
    assert "remove-objects/nightly" in server.deployed
    assert set(deployments(server)) == {"adhoc", "nightly"}


def test_nightly_ships_paused_and_is_never_overtaken(server):
    nightly = deployments(server)["nightly"]
    assert [(row["schedule"]["cron"], row["active"]) for row in nightly["schedules"]] == [("0 2 * * *", False)]
    assert nightly["global_concurrency_limit"]["limit"] == 1
    assert nightly["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"


def test_a_deployment_run_cleans_a_folder(cleaned):
    target, ended, run = cleaned
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (run["state"]["type"], run["state"]["name"], run["state"]["message"]) == (
        "COMPLETED",
        "Completed",
        "3 removed",
    )
    assert {row["status"] for row in rows(target / "metadata.jsonl")} == {"removed"}
    assert sorted(file.name for file in (target / "images").iterdir()) == ["0000.png", "0001.png", "0002.png"]


def test_a_number_arrives_as_a_number(cleaned):
    target, _, run = cleaned
    assert run["parameters"]["dilate"] == 6
    assert {row["dilate"] for row in rows(target / "metadata.jsonl")} == {6}


def test_a_run_leaves_a_table_a_report_and_its_progress(server, cleaned):
    target, _, run = cleaned
    left = server.artifacts(run)
    assert left["removal-progress"] == ("progress", 100.0)
    assert left["removal-summary"][0] == "table"
    assert json.loads(left["removal-summary"][1]) == [{"status": "removed", "pictures": 3}]
    kind, report = left["removal-report"]
    assert kind == "markdown"
    assert "None failed." in report
    assert f"cleanplate run {run['parameters']['source']} {target}" in report


def test_a_second_run_does_nothing_and_says_so(server, cleaned):
    target, _, first = cleaned
    before = {file: file.stat().st_mtime_ns for file in target.rglob("*.png")}
    ended, run = server.clean(**first["parameters"])
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert run["id"] != first["id"]
    assert (run["state"]["name"], run["state"]["message"]) == ("Completed", "nothing to do: 3 removed")
    assert {file: file.stat().st_mtime_ns for file in target.rglob("*.png")} == before


def test_a_task_run_serves_ten_pictures_at_least(server, scenes):
    """Each costs the server 20 ms; the pictures themselves never pass through it."""
    source = scenes.parent / "many"
    source.mkdir()
    for number in range(64):
        shutil.copy(scenes / "images" / f"{number % 3:04}.png", source / f"{number:04}.png")
    ended, run = server.clean(
        source=source, target=scenes.parent / "many out", masks=scenes / "masks" / "0000.png", model="bundled",
        method="telea", verify="false",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert run["state"]["message"] == "64 removed"
    tasks = server.ask("task_runs/filter", flow_runs={"id": {"any_": [run["id"]]}})
    assert {task["state"]["type"] for task in tasks} == {"COMPLETED"}
    assert 2 <= len(tasks) <= 0.1 * 64


@pytest.fixture(scope="module")
def one_broken(scenes) -> dict:
    """Parameters that need no weights, for a folder with a picture that is none."""
    source = shutil.copytree(scenes / "images", scenes.parent / "one broken")
    (source / "broken.png").write_bytes(b"no picture")
    return {"source": source, "masks": scenes / "masks", "model": "bundled", "method": "telea"}


def test_a_run_with_one_broken_picture_is_partial(server, scenes, one_broken):
    target = scenes.parent / "partial"
    ended, run = server.clean(target=target, **one_broken)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (run["state"]["type"], run["state"]["name"]) == ("COMPLETED", "Partial")
    assert run["state"]["message"] == "1 failed, 3 removed (2 doubtful)"  # which Telea blurs
    assert [row["source"] for row in rows(target / "failures.jsonl")] == ["broken.png"]
    assert "broken.png" in server.artifacts(run)["removal-report"][1]


def test_more_failures_than_allowed_fail_a_run(server, scenes, one_broken):
    target = scenes.parent / "failed"
    ended, run = server.clean(target=target, max_failures=0, **one_broken)
    assert ended.returncode == 1
    assert run["state"]["type"] == "FAILED"
    assert "pictures failed, more than --max-failures 0 allows" in run["state"]["message"]
    assert "broken.png" in server.artifacts(run)["removal-report"][1]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("steps=many", "steps"),
        ("steps=0", "steps"),
        ("method=magic", "method"),
        ("text=5", "text"),
        ("stepz=5", "stepz"),
        (None, "target"),
    ],
)
def test_wrong_parameters_are_refused_before_a_run_exists(server, scenes, wrong, named):
    before = server.runs()
    right = ["-p", f"source={scenes}"] + (["-p", f"target={scenes.parent / 'never'}", "-p", wrong] if wrong else [])
    ended = server("deployment", "run", "remove-objects/adhoc", *right)
    assert ended.returncode == 1
    assert f"'{named}'" in ended.stdout + ended.stderr
    assert server.runs() == before
