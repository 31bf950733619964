"""The documents: their commands are right and run, the table of peers is backed, what they name is there."""

import json
import re
import shlex
import shutil
from collections import Counter
from pathlib import Path

import pytest

from flows.cli.main import app
from flows.cli.other_names import SAME
from flows.formats.pictures import decode
from flows.job import Job
from tests.readme.photo import cleaned, photo

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
ROOMS = {name: (ROOT / name / "README.md").read_text() for name in ("flows", "masks", "removal")}
FOR_USERS = "\n".join([README, *ROOMS.values()])
DOCUMENTS = {
    "README.md": README,
    **{f"{room}/README.md": text for room, text in ROOMS.items()},
    "CONTRIBUTING.md": (ROOT / "CONTRIBUTING.md").read_text(),
    "removal/bundled/README.md": (ROOT / "removal" / "bundled" / "README.md").read_text(),
}
MOST = 12_000  # bytes of the README, which is to be read in five minutes
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
LASTING = ("demo", "review cleaned --serve", "doctor")  # commands that take long, or do not end
OF_PREFECT = {"--from-file", "--prefect-file", "--watch", "--pool", "--type", "--name", "--host", "--port", "--cron"}
OF_PROGRAMS = {
    "--skip",
    "--sheet",
    "--count",
    "--look",
    "--work",
    "--tiers",
    "--part",
    "--upgrade",
    "--quick",
}  # benchmarks, pip
PHOTO = "photo.jpg"
FETCHING = ("models pull", "--no-offline")


def blocks(language: str, text: str = FOR_USERS) -> list[str]:
    return [body for kind, body in FENCED.findall(text) if kind == language]


def commands(text: str = FOR_USERS) -> list[str]:
    """Every command line in the blocks of shell."""
    lines = "\n".join(blocks("sh", text)).replace("\\\n", " ").splitlines()
    return [line for line in (re.sub(r"\s+#.*|^#.*", "", line).strip() for line in lines) if line]


def of_ours(text: str = FOR_USERS) -> list[str]:
    return list(
        dict.fromkeys(line.removeprefix("cleanplate ") for line in commands(text) if line.startswith("cleanplate "))
    )


EVERY = list(dict.fromkeys(line for text in DOCUMENTS.values() for line in of_ours(text)))
WORKING = [line for line in of_ours() if line.split()[0] in ("run", "masks") and not re.search("/data/|://", line)]


@pytest.mark.parametrize("line", EVERY)
def test_every_command_of_ours_has_verbs_flags_and_values_that_there_are(line):
    app.parse_args(shlex.split(re.split(r" [>|] ", line)[0]), exit_on_error=False)


def test_there_are_commands_to_try():
    assert len(EVERY) > 20
    assert len(WORKING) > 5


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder as the README has it: photos, a photo, masks and prompts, and a result of an earlier run."""
    from flows.review.decisions import apply, read_decisions
    from flows.run import run
    from flows.samples.scenes import write_scenes

    desk = tmp_path_factory.mktemp("desk")
    write_scenes(desk / "s", count=2, seed=1)
    (desk / PHOTO).write_bytes(photo())
    (desk / "s" / "images").rename(desk / "photos")
    (desk / "s" / "masks").rename(desk / "masks")
    (desk / "s" / "prompts.jsonl").rename(desk / "prompts.jsonl")
    (desk / "job.toml").write_text('text = "person"\n')
    (desk / "finder.py").write_text("def find(images, prompts):\n    return []\n")  # of one's own; README's is tested
    picture = {"id": 1, "file_name": "0000.png", "width": 128, "height": 128}
    thing = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [30, 30, 20, 20], "iscrowd": 0, "area": 400}
    coco = {"images": [picture], "annotations": [thing], "categories": [{"id": 1, "name": "person"}]}
    (desk / "instances.json").write_text(json.dumps(coco))
    made = Job(source=str(desk / "photos"), target=str(desk / "cleaned"), coco=str(desk / "instances.json"))
    run(made.model_copy(update={"category": ["person"], "method": "telea"}))
    (desk / "decisions.jsonl").write_text('{"file_name": "0000.png", "review": "accept"}\n')
    apply(desk / "cleaned", read_decisions((desk / "decisions.jsonl").read_text()))
    return desk


@pytest.mark.parametrize("line", WORKING)
def test_every_run_of_the_readme_gets_as_far_as_its_weights(line, desk, monkeypatch, capsys):
    """What it asks for is there and fits together; `--dry-run` says what it would do."""
    monkeypatch.chdir(desk)
    new = ["new" if word == "cleaned" else word for word in shlex.split(line)]
    new += ["--dry-run"] * ("--dry-run" not in new)
    assert app(new, exit_on_error=False, result_action="return_value") == 0
    assert f"{1 if PHOTO in new else 2} to do" in capsys.readouterr().err or "--limit" in line


@pytest.mark.parametrize(
    "line", [line for line in of_ours() if not line.startswith((*LASTING, "run", "masks", "redo", "compare", "scenes"))]
)
def test_every_other_command_of_the_readme_that_needs_no_weights_runs(line, desk, monkeypatch, capsys):
    if any(part in line for part in FETCHING) or "/data/" in line or "://" in line:
        pytest.skip("asks the hub, a store, or for folders of another machine; parsed above")
    monkeypatch.chdir(desk)
    shutil.rmtree("published", ignore_errors=True)
    code = app(shlex.split(re.split(r" [>|] ", line)[0]), exit_on_error=False, result_action="return_value")
    assert code in (0, None)
    assert any(capsys.readouterr())


def test_make_has_every_target_that_is_named():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {name for text in DOCUMENTS.values() for name in re.findall(r"(?:^|`)make ([a-z-]+)", text, re.M)}
    assert {"demo", "test"} <= named <= targets


def test_every_flag_that_is_named_is_one_of_ours_or_of_the_tool_beside_it():
    ours = {
        "--help",
        "--version",
        "--install-completion",
        "--from-file",
        "--prefect-file",
        "--watch",
        "--pool",
        "--type",
    }
    for _, verb in verbs(app):
        ours |= {name for argument in verb.assemble_argument_collection() for name in argument.names}
    theirs = OF_PREFECT | OF_PROGRAMS | {*SAME}
    named = Counter(flag for text in DOCUMENTS.values() for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    assert set(named) - ours - theirs == set()


def verbs(under, chain=()):
    for name in under:
        if not name.startswith("-"):
            yield (*chain, name), under[name]
            yield from verbs(under[name], (*chain, name))


def test_every_file_that_is_linked_is_there():
    for name, text in DOCUMENTS.items():
        for target in re.findall(r"\]\(([^)\s]+)", text):
            if not target.startswith(("http", "#")):
                assert ((ROOT / name).parent / target.split("#")[0]).exists(), f"{name}: {target}"


def test_the_readme_leads_to_every_other_document_and_the_rooms_to_each_other():
    for name in DOCUMENTS:
        assert name == "README.md" or f"]({name})" in README
    for room, text in ROOMS.items():
        assert all(f"](../{other}/README.md)" in text for other in ROOMS if other != room)


PEERS = re.findall(r"^\| ([^|]+) \| \[[^]]+\]\(\.\./([^ ]+) \"(\w+)\"\)", ROOMS["removal"], re.M)


def test_every_cell_of_ours_in_the_table_of_peers_names_a_test():
    table = ROOMS["removal"][ROOMS["removal"].index("## Beside other tools") :].split("\n\n")
    rows = next(part for part in table if part.startswith("|")).splitlines()[2:]
    assert len(rows) == len(PEERS) > 15


@pytest.mark.parametrize(("feature", "file", "test"), PEERS)
def test_what_the_table_of_peers_says_of_us_has_its_test(feature, file, test):
    assert re.search(rf"^def {test}\(", (ROOT / file).read_text(), re.M), feature


@pytest.mark.parametrize("body", blocks("toml"))
def test_job_files_of_the_readme_are_job_files(body, tmp_path):
    from flows.settings.job_file import job_of

    (tmp_path / "job.toml").write_text(body)
    assert job_of(str(tmp_path / "job.toml"), {"source": "a", "target": "b"}) != Job(source="a", target="b")


def test_the_shape_of_json_is_the_one_that_is_shown(desk, capsys):
    shown = next(json.loads(body) for body in blocks("json") if '"exit_code"' in body)
    given = ["run", str(desk / "photos"), str(desk / "shown"), "--masks", str(desk / "masks"), "--method", "telea"]
    app([*given, "--json", "--no-flow"], exit_on_error=False, result_action="return_value")
    assert shown.keys() == json.loads(capsys.readouterr().out).keys()


def test_the_row_that_is_shown_is_that_of_the_photo_above_it(tmp_path):
    _, row = cleaned(tmp_path)
    shown = next(json.loads(body) for body in blocks("json", README) if '"mask_file_name"' in body)
    assert shown == {key: row[key] for key in shown}


def test_python_in_the_readme_runs(desk):
    row = json.loads((desk / "prompts.jsonl").read_text().splitlines()[0])
    image = decode((desk / "photos" / row["file_name"]).read_bytes()).image
    program = next(body for body in blocks("python") if "load_remover" in body)
    names = {"image": image}
    exec(program.replace("red ball", row["text"]), names)
    assert (names["results"][0] != image).any()
    assert (names["results"][0] == image)[~names["masks"][0]].all()


def test_it_is_short_enough_to_be_read_and_begins_with_what_to_type():
    lines = README.splitlines()
    assert len(README.encode()) <= MOST
    assert next(k for k, line in enumerate(lines) if line.startswith("```sh")) < 40
