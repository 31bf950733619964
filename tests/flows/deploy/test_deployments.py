"""The flow as it is deployed: a real server, a real worker, the commands of the README."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from flows.run import run as run_here
from flows.samples.scenes import write_scenes
from tests.flows.deploy.test_lost_runs import assert_whole, parameters, published
from tests.flows.prefect_server import given
from tests.flows.test_scale import tiny


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
        source=scenes / "images",
        target=target,
        prompts=scenes / "prompts.jsonl",
        model="bundled",
        dilate=6,
        report_url="https://pictures.example/report.html",
    )
    return target, ended, run


def rows(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def deployments(server) -> dict[str, dict]:
    return {row["name"]: row for row in server.ask("deployments/filter") if row["work_pool_name"] == "gpu"}


def test_deploy_all_makes_both_deployments(server):
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
    assert "0 to review: [report.html](https://pictures.example/report.html)" in report
    assert f"cleanplate run {run['parameters']['source']} {target}" in report


def test_a_second_run_does_nothing_and_says_so(server, cleaned):
    target, _, first = cleaned
    before = {file: file.stat().st_mtime_ns for file in target.rglob("*.png")}
    ended, run = server.clean(**first["parameters"])
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert run["id"] != first["id"]
    assert (run["state"]["name"], run["state"]["message"]) == ("Completed", "nothing to do: 3 removed")
    assert {file: file.stat().st_mtime_ns for file in target.rglob("*.png")} == before


@pytest.fixture(scope="module")
def one_broken(scenes) -> dict:
    """Parameters that need no weights, for a folder with a picture that is none."""
    source = shutil.copytree(scenes / "images", scenes.parent / "one broken")
    (source / "broken.png").write_bytes(b"no picture")
    Image.new("RGB", (8, 8)).save(source / "odd.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0")  # Pillow warns of it
    return {"source": source, "masks": scenes / "masks", "model": "bundled", "method": "telea"}


@pytest.fixture(scope="module")
def partial(server, scenes, one_broken):
    """The command and the run over that folder."""
    return server.clean(target=scenes.parent / "partial", **one_broken)


def test_a_run_with_one_broken_picture_is_partial(server, partial):
    ended, run = partial
    target = Path(run["parameters"]["target"])
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (run["state"]["type"], run["state"]["name"]) == ("COMPLETED", "Partial")
    assert run["state"]["message"] == "1 failed, 1 nothing found, 3 removed (2 doubtful)"  # which Telea blurs
    assert [row["source"] for row in rows(target / "failures.jsonl")] == ["broken.png"]
    assert "broken.png" in server.artifacts(run)["removal-report"][1]


def test_the_log_of_a_run_names_what_failed_and_what_libraries_warn_of(server, partial):
    """Its lines reach the server a little after its last state."""
    _, run = partial
    server.until(lambda: any(line.startswith("failed: broken.png: ") for line in server.log(run)))
    server.until(lambda: any("Corrupt EXIF data" in line for line in server.log(run)))


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
        ("steps=0", "steps"),
        ("shard=5/4x", "shard"),
        ("source=photos", "source"),  # relative: a run starts in a folder of its own
        pytest.param("masks=../masks", "masks", marks=pytest.mark.slow),
        pytest.param("steps=many", "steps", marks=pytest.mark.slow),
        pytest.param("method=magic", "method", marks=pytest.mark.slow),
        pytest.param("text=5", "text", marks=pytest.mark.slow),
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


def test_a_schedule_really_makes_runs(server):
    """With an SQLAlchemy that is too new it makes none, and only the server's log says why."""
    server("work-pool", "create", "unattended", "--type", "process").check_returncode()
    deployed = server(
        "--no-prompt", "deploy", "flows.remove_objects.remove_objects", "--name", "each-minute", "--pool", "unattended",
        "--cron", "* * * * *", "--param", "source=/data/in", "--param", "target=/data/out",
    )  # fmt: skip
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    runs = server.first_runs("each-minute", limit=60)
    assert {run["state"]["type"] for run in runs} <= {"SCHEDULED"}


def test_a_cancelled_run_ends_cancelled_and_its_target_is_free_and_goes_on_from_there(server, tmp_path):
    job = tiny(tmp_path, 1500)
    watching = subprocess.Popen(
        [sys.executable, "-m", "prefect", "deployment", "run", "remove-objects/adhoc", *given(parameters(job)),
         "--watch"], env=server.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    server.until(lambda: published(job) >= 50)
    run_id = server.runs()[0]["id"]
    server("flow-run", "cancel", run_id).check_returncode()
    assert server.until_state(run_id, "CANCELLED", "COMPLETED")["state"]["name"] == "Cancelled"
    assert watching.wait(60) == 1
    done = run_here(job)
    assert 0 < done.tried < 1500
    assert_whole(job, 1500)


@pytest.fixture(scope="module")
def both(server, tmp_path_factory):
    """A run of each deployment, asked for at the same time: 300 pictures each."""
    jobs = {name: tiny(tmp_path_factory.mktemp(name) / "job", 300) for name in ("adhoc", "nightly")}
    begun = [server.begin(name, **parameters(job)) for name, job in jobs.items()]
    return [server.until_state(run_id, "COMPLETED") for run_id in begun]


def test_jobs_of_both_deployments_take_turns_on_one_gpu(both):
    """The worker of these tests has no limit of its own: the pool's is at work, which `prefect deploy` has set."""
    first, second = sorted(both, key=lambda run: run["start_time"])
    assert first["end_time"] <= second["start_time"]


def test_a_task_run_serves_ten_pictures_at_least(server, both):
    """Each costs the server 20 ms; the pictures themselves never pass through it."""
    tasks = server.ask("task_runs/filter", flow_runs={"id": {"any_": [both[0]["id"]]}})
    assert both[0]["state"]["message"] == "300 removed"
    assert {task["state"]["type"] for task in tasks} == {"COMPLETED"}
    assert 2 <= len(tasks) <= 0.1 * 300


def test_a_night_does_only_what_is_new(server, tmp_path):
    job = tiny(tmp_path, 20)
    new = tmp_path / "images" / "00007.png"
    kept = new.rename(tmp_path / "later.png")
    run_here(job)
    before = {file.name: file.stat().st_mtime_ns for file in Path(job.target, "images").iterdir()}
    kept.rename(new)
    ended, run = server.clean("nightly", **parameters(job))
    assert (ended.returncode, run["state"]["message"]) == (0, "20 removed")
    after = {file.name: file.stat().st_mtime_ns for file in Path(job.target, "images").iterdir()}
    assert after.keys() - before.keys() == {"00007.png"}
    assert {name: after[name] for name in before} == before


def test_ctrl_c_on_a_tracked_run_finishes_the_batch_and_the_server_knows_it_as_cancelled(server, tmp_path):
    write_scenes(tmp_path / "scenes", count=140, seed=5)
    press = (
        "import os, signal, sys; from flows import remove_objects as flow; from flows.cli.main import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler); did = flow.RunLog.did\n"
        "def once(self, outcome):\n"
        "    did(self, outcome)\n"
        "    if self.done == 1: os.kill(os.getpid(), signal.SIGINT)\n"
        "flow.RunLog.did = once; main()"
    )
    given = ("run", tmp_path / "scenes" / "images", tmp_path / "out", "--masks", tmp_path / "scenes" / "masks")
    command = [sys.executable, "-c", press, *map(str, given), "--model", "bundled", "--method", "telea", "--flow"]
    ended = subprocess.run(command, env=server.environment, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 130, ended.stderr
    assert "finishing the batch; again to stop at once" in ended.stderr
    done = len(rows(tmp_path / "out" / "metadata.jsonl"))
    assert 0 < done < 140
    runs = server.ask("flow_runs/filter", flow_runs={"state": {"type": {"any_": ["CANCELLED"]}}})
    assert [run["name"] for run in runs if str(tmp_path) in run["name"]] == [f"clean {given[1]}"]
