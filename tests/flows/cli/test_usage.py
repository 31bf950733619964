"""Wrong usage: what was meant, and what would have worked. Help, completion and the job file's schema."""

import json
import re
import shlex
import subprocess
import sys
import tomllib

import jsonschema
import pytest

from flows.cli import main as cli
from flows.cli.main import app
from flows.cli.schema import job_schema, job_to_start_from
from flows.cli.verbs.usage import EXAMPLE
from flows.job import Job
from flows.messages.nearest import path_beside
from tests.flows.small import small


@pytest.fixture
def refused(monkeypatch, capsys):
    """What the command says to arguments that end in 2."""

    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["cleanplate", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        return shown.err

    return run


def verbs(under=app, chain=()):
    """(words, app) of every verb, those below another too."""
    for name in under:
        if not name.startswith("-"):
            yield (*chain, name), under[name]
            yield from verbs(under[name], (*chain, name))


VERBS = dict(verbs())
spoken = pytest.mark.parametrize("verb", VERBS, ids=" ".join)


@spoken
def test_the_help_of_every_verb_ends_with_an_example_that_works(verb, capsys):
    app([*verb, "--help"], exit_on_error=False, result_action="return_value")
    last = capsys.readouterr().out.rstrip().splitlines()[-1]
    assert last.startswith(EXAMPLE + " ".join(verb))
    app.parse_args(shlex.split(last.removeprefix(EXAMPLE)), exit_on_error=False)


def test_the_help_lists_every_verb_once_by_what_one_does_with_run_first(capsys):
    app(["--help"], exit_on_error=False, result_action="return_value")
    listed = re.findall(r"^│ ([a-z]+)  ", capsys.readouterr().out, re.M)
    assert listed[0] == "run"
    assert sorted(listed) == sorted({verb[0] for verb in VERBS})


@spoken
def test_wrong_usage_of_a_verb_ends_with_its_example(verb, refused):
    assert refused(*verb, "--no-such-flag").splitlines()[-1].startswith(EXAMPLE + " ".join(verb))


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["statsu"], '"status"'),
        (["models", "expalin", "sd15"], '"explain"'),
        (["run", "a", "b", "--stpes", "3"], "--steps"),
        (["run", "a", "b", "--method", "telae"], '"telea"'),
        (["run", ".", "/o", "--text", "ball", "--model", "bundeld"], "'bundled'"),
        (["run", ".", "/o", "--text", "ball", "--segmenter", "clipsge"], "'clipseg'"),
        (["run", "tetss", "/o", "--text", "ball"], "'tests'"),
        (["run", "flows/cli/verb/talk.py", "/o", "--text", "ball"], "'flows/cli/verbs/talk.py'"),
        (["run", ".", "/o", "--masks", "tests/redme"], "'tests/readme'"),
        (["run", ".", "/o", "--prompts", "READMEE.md"], "'README.md'"),
        (["run", ".", "/o", "--job", "pyprojet.toml"], "'pyproject.toml'"),
        (["status", "tests/redme"], "'tests/readme'"),
    ],
)
def test_a_typing_error_is_answered_with_what_was_meant(refused, arguments, meant):
    assert f"did you mean {meant}?" in refused(*arguments).lower().replace("readme.md", "README.md")


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("--tiles", "0", "It should be greater than or equal to 1, or be 'auto'."),
        ("--batch-size", "-1", "It should be greater than or equal to 1, or be 'auto'."),
        ("--tiles", "many", "'many' is neither a whole number nor auto"),
        ("--tiles", "2.5", "2.5 is not a whole number"),
        ("--steps", "1.5", "1.5 is not a whole number"),
        ("--dilate", "1.5", "1.5 is not a whole number"),
        ("--mask-label", "1.5", "1.5 is not a whole number"),
    ],
)
def test_a_number_that_a_flag_does_not_take_is_refused_in_plain_words(refused, flag, value, said):
    first, *others = refused("run", ".", "/o", "--text", "ball", f"{flag}={value}").splitlines()
    assert first.startswith("Invalid value")
    assert said in first
    assert others == [EXAMPLE + "run photos cleaned --text person"]


def test_a_whole_number_may_be_written_with_a_point_and_a_share_with_digits_behind_it():
    _, bound, _ = app.parse_args(["run", "a", "b", "--steps", "20.0", "--dilate", "1.5%"], exit_on_error=False)
    assert (bound.arguments["steps"], bound.arguments["dilate"]) == (20, "1.5%")


def test_no_path_is_proposed_that_is_not_there(tmp_path):
    (tmp_path / "photos" / "one").mkdir(parents=True)
    assert path_beside(tmp_path / "photso" / "one") == f"; did you mean {str(tmp_path / 'photos' / 'one')!r}?"
    assert path_beside(tmp_path / "photso" / "two") == ""
    assert path_beside(tmp_path / "something" / "else") == ""


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ('modle = "bundled"', "unknown key 'modle'; did you mean 'model'?"),
        ("max-area = 0.5", "unknown key 'max-area'; did you mean 'max_area'?"),
        ('method = "telae"', "method: should be 'auto', "),
        ('method = "telae"', "; did you mean 'telea'?"),
        ("steps = 0", "steps: should be greater than or equal to 1"),
        ('point = ["here"]', "point: a point is x,y or x,y,- such as 200,450, not 'here'"),
        ("steps =", "is not TOML: "),
    ],
)
def test_an_error_of_a_job_file_names_the_file_the_key_and_the_nearest(refused, tmp_path, said, complaint):
    file = tmp_path / "job.toml"
    file.write_text(said)
    told = refused("run", tmp_path, tmp_path.parent / "out", "--text", "ball", "--job", file)
    assert told.startswith(str(file))
    assert complaint in told


def test_a_flag_that_overrides_a_job_file_is_blamed_itself(refused, tmp_path):
    (tmp_path / "job.toml").write_text("steps = 5\n")
    told = refused("run", tmp_path, tmp_path.parent / "out", "--job", tmp_path / "job.toml", "--steps", "0")
    assert told == "--steps: should be greater than or equal to 1\n"


def test_the_schema_knows_every_setting_with_its_words_and_default(capsys):
    app(["schema"], exit_on_error=False, result_action="return_value")
    printed = json.loads(capsys.readouterr().out)
    jsonschema.Draft7Validator.check_schema(printed)
    for name, about in Job.model_fields.items():
        assert printed["properties"][name]["description"] == about.description
        assert printed["properties"][name]["default"] == about.get_default()


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        ('text = "person"', True),
        ('text = ["person", "dog"]', True),
        ('dilate = "5%"', True),
        ("dilate = 12", True),
        ("batch_size = 4", True),
        ('method = "telae"', False),
        ("steps = 0", False),
        ('modle = "sd15"', False),
    ],
)
def test_the_schema_and_the_job_agree_on_what_a_job_file_may_say(said, fits):
    read = tomllib.loads(said)
    assert jsonschema.Draft7Validator(job_schema()).is_valid(read) is fits
    if fits:
        Job(**read)
    else:
        with pytest.raises(ValueError, match=next(iter(read))):
            Job(**read)


def test_the_job_file_to_start_from_says_the_defaults_and_where_its_schema_is():
    lines = job_to_start_from().splitlines()
    assert lines[0] == "#:schema ./cleanplate.schema.json"
    assert max(map(len, lines)) <= 120
    said = [line.removeprefix("# ") for line in lines if re.match(r"# \w+ = .", line)]
    assert Job(**tomllib.loads("\n".join(said))) == Job()
    for name in set(Job.model_fields) - {"source", "target"}:
        assert any(line.startswith(f"# {name} =") for line in lines)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_verbs_and_flags(shell):
    script = app.generate_completion(shell=shell)
    for verb in VERBS:
        assert verb[0] in script
    assert "segmenter" in script


@pytest.mark.parametrize(
    ("typed", "offered"),
    [(["st"], "status"), (["run", "a", "b", "--meth"], "--method"), (["run", "a", "b", "--method", "te"], "telea")],
)
def test_bash_itself_completes_verbs_flags_and_values(tmp_path, typed, offered):
    (tmp_path / "completion").write_text(app.generate_completion(shell="bash"))
    words = shlex.join(["cleanplate", *typed])
    program = f"source completion; COMP_WORDS=({words}); COMP_CWORD={len(typed)}; _cleanplate; echo ${{COMPREPLY[@]}}"
    answer = subprocess.run(["bash", "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert answer.stdout.split() == [offered]


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["models", "--help"]], ids=" ".join)
def test_help_loads_the_libraries_of_the_command_line_and_no_other(arguments):
    program = (
        "import sys; from flows.cli.main import app\n"
        f"app({arguments!r}, exit_on_error=False, result_action='return_value')\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    packages = {name.split(".")[0] for name in loaded.stderr.split()}
    heavy = {
        "torch",
        "numpy",
        "cv2",
        "PIL",
        "prefect",
        "httpx",
        "fsspec",
        "diffusers",
        "transformers",
        "jinja2",
        "masks",
    }
    assert packages & {"cyclopts", "pydantic"}
    assert packages & heavy == set()
    assert len(loaded.stderr.split()) < 700


def test_a_cache_in_the_target_ends_in_2_and_says_why(refused, tmp_path, monkeypatch):
    job = small(tmp_path, 1)
    monkeypatch.setenv("CLEANPLATE_CACHE", str(tmp_path / "out" / "cache"))
    said = refused("run", job.source, job.target, "--masks", job.masks, "--method", "telea")
    assert "CLEANPLATE_CACHE" in said
    assert "lies in the target" in said
    assert not (tmp_path / "out").exists()
