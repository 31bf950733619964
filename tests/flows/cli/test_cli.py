"""The command line: exit codes, streams and the time to say little."""

import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from flows.cli import main as cli
from flows.cli.verbs.talk import code_of
from flows.deploy import tracking
from flows.errors import EnvironmentFault, TooManyFailures, UsageError
from flows.formats.png import chunk
from flows.ledger.lock import Busy
from flows.samples.scenes import write_scenes


@pytest.fixture
def scenes(tmp_path) -> Path:
    write_scenes(tmp_path / "scenes", count=2, seed=12)
    return tmp_path / "scenes"


@pytest.fixture
def cleanplate(monkeypatch, capsys, tmp_path):
    """Run the command in this process: (exit code, stdout, stderr)."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)

    def run(*arguments: object):
        monkeypatch.setattr(sys, "argv", ["cleanplate", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        shown = capsys.readouterr()
        return ended.value.code, shown.out, shown.err

    return run


def whole(*arguments: object, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "flows", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **environment})


def by_mask(scenes: Path, target: Path, *more: object) -> tuple:
    return (
        "run",
        scenes / "images",
        target,
        "--model",
        "bundled",
        "--method",
        "telea",
        "--masks",
        scenes / "masks",
        *more,
    )


def test_a_run_ends_with_0_and_keeps_stdout_for_data(cleanplate, scenes, tmp_path):
    code, out, err = cleanplate(*by_mask(scenes, tmp_path / "out"))
    assert (code, out) == (0, "")
    assert f"{tmp_path / 'out'}: 2 removed" in err


def test_json_is_one_object_on_stdout(cleanplate, scenes, tmp_path):
    code, out, _ = cleanplate(*by_mask(scenes, tmp_path / "out"), "--json")
    assert code == 0
    assert json.loads(out) == {
        "target": str(tmp_path / "out"),
        "exit_code": 0,
        "done": {"removed": 2},
        "counts": {"removed": 2},
        "doubtful": 1,  # Telea smears one of them
    }


def test_a_second_run_says_that_there_is_nothing_to_do(cleanplate, scenes, tmp_path):
    cleanplate(*by_mask(scenes, tmp_path / "out"))
    code, _, err = cleanplate(*by_mask(scenes, tmp_path / "out"))
    assert code == 0
    assert "nothing to do" in err


def test_failed_pictures_are_named_with_their_reason_and_end_in_1(cleanplate, scenes, tmp_path):
    (scenes / "images" / "0001.png").write_bytes(b"")
    code, _, err = cleanplate(*by_mask(scenes, tmp_path / "out"))
    assert code == 1
    assert "failed: 0001.png: the file is empty" in err
    code, out, _ = cleanplate("status", tmp_path / "out")
    assert code == 1
    assert out.splitlines()[:2] == ["       1  failed", "       1  removed (1 doubtful)"]
    assert "       1  failed: the file is empty (0001.png)" in out


def test_a_run_and_the_status_say_how_many_results_are_doubtful(cleanplate, tmp_path):
    write_scenes(tmp_path / "scenes", count=3, seed=5)  # two of which Telea blurs
    code, _, err = cleanplate(*by_mask(tmp_path / "scenes", tmp_path / "out"))
    assert code == 0
    assert f"{tmp_path / 'out'}: 3 removed (2 doubtful)" in err
    code, out, _ = cleanplate("status", tmp_path / "out")
    assert code == 0
    assert out.startswith("       3  removed (2 doubtful)\n")
    code, out, _ = cleanplate("status", tmp_path / "out", "--json")
    assert code == 0
    told = json.loads(out)
    assert {key: told[key] for key in ("target", "counts", "doubtful", "rejected", "failures")} == {
        "target": str(tmp_path / "out"), "counts": {"removed": 3}, "doubtful": 2, "rejected": 0, "failures": [],
    }  # fmt: skip
    assert sum(trouble["count"] for trouble in told["troubles"]) == 2


def test_tries_and_verify_are_flags_of_a_run_and_settings_of_a_job_file(cleanplate, scenes, tmp_path):
    (tmp_path / "job.toml").write_text("tries = 3\n")
    assert cleanplate(*by_mask(scenes, tmp_path / "a"), "--job", tmp_path / "job.toml")[0] == 0
    assert "tries = 3" in (tmp_path / "a" / "job.toml").read_text()
    assert cleanplate(*by_mask(scenes, tmp_path / "b"), "--no-verify")[0] == 0
    assert '"verdict": null' in (tmp_path / "b" / "metadata.jsonl").read_text()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--text", "dog"], "does not know the word 'dog'"),
        (["--modle", "x"], "Did you mean --model"),
        (["--point", "here"], "a point is x,y"),
        (["--dilate", "lots", "--text", "ball"], "dilation is a number of pixels"),
        (["--steps", "0", "--text", "ball"], "--steps"),
        (["--steps", "20", "--strength", "0.01", "--text", "ball"], "leave no step to take"),
        (["--batch-size=-1", "--text", "ball"], "--batch-size"),
        (["--masks", "m", "--text", "ball"], "masks already say what to remove"),
        (["--tries", "2", "--no-verify", "--text", "ball"], "without verify no result is judged"),
        (["--tries", "2", "--prompt", "a bench", "--text", "ball"], "with a prompt no result is judged"),
        (["--tries", "7", "--text", "ball"], "--tries"),
        ([], "say what to remove"),
        (["--text", "ball", "--segmenter", "samm"], "there are bundled, clipseg, grounded-sam, "),
        (["--text", "ball", "--segmenter", "sam"], "takes no text; bundled, clipseg, grounded-sam, "),
        (["--text", "ball", "--model", "nothing"], "unknown model 'nothing'"),
        (["--text", "ball", "--model", "bundled-base", "--method", "inpainting"], "use --method blending"),
        (["--text", "ball", "--job", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_what_cannot_be_asked_for_ends_in_2_and_touches_nothing(cleanplate, scenes, tmp_path, arguments, complaint):
    model = [] if "--model" in arguments else ["--model", "bundled"]
    code, out, err = cleanplate("run", scenes / "images", tmp_path / "out", *model, *arguments)
    assert code == 2
    assert complaint in " ".join((out + err).split()).replace("│ ", "").replace(" │", "")
    assert not (tmp_path / "out").exists()


def test_a_missing_source_ends_in_2(cleanplate, tmp_path):
    code, _, err = cleanplate("run", tmp_path / "nowhere", tmp_path / "out", "--text", "ball", "--model", "bundled")
    assert code == 2
    assert "there is no folder or picture" in err


def test_too_many_failures_end_in_4(cleanplate, scenes, tmp_path):
    (scenes / "images" / "0000.png").write_bytes(b"")
    assert cleanplate(*by_mask(scenes, tmp_path / "out", "--max-failures", "0"))[0] == 4


def test_a_busy_target_ends_in_75(cleanplate, scenes, tmp_path):
    from flows.ledger.manifest import Manifest

    (tmp_path / "out").mkdir()
    with Manifest(tmp_path / "out"):
        code, _, err = cleanplate(*by_mask(scenes, tmp_path / "out"))
    assert code == 75
    assert "another run" in err


def test_weights_that_are_not_here_end_in_3_when_offline(scenes, tmp_path):
    ended = whole(
        "run", scenes / "images", tmp_path / "out", "--text", "ball", "--offline", "--no-flow",
        HF_HOME=str(tmp_path / "hub"), TORCH_HOME=str(tmp_path / "torch"),
    )  # fmt: skip
    assert ended.returncode == 3, ended.stderr
    assert "sam_vit_b_01ec64.pth" in ended.stderr
    assert "--offline" in ended.stderr


def test_flags_override_the_job_file(cleanplate, scenes, tmp_path):
    file = tmp_path / "job.toml"
    file.write_text(f'model = "bundled"\nmethod = "telea"\nmasks = "{scenes / "masks"}"\nseed = 5\nconcat = true\n')
    cleanplate("run", scenes / "images", tmp_path / "out", "--job", file, "--seed", "6")
    resolved = (tmp_path / "out" / "job.toml").read_text()
    assert "seed = 6" in resolved
    assert "concat = true" in resolved


def test_the_resolved_job_of_a_target_repeats_it(cleanplate, scenes, tmp_path):
    cleanplate(*by_mask(scenes, tmp_path / "out"))
    code, _, err = cleanplate("run", scenes / "images", tmp_path / "out", "--job", tmp_path / "out" / "job.toml")
    assert code == 0
    assert "nothing to do" in err


def test_a_job_file_with_an_unknown_key_ends_in_2(cleanplate, scenes, tmp_path):
    (tmp_path / "job.toml").write_text('modell = "bundled"\n')
    code, _, err = cleanplate("run", scenes / "images", tmp_path / "out", "--job", tmp_path / "job.toml")
    assert code == 2
    assert "job.toml: unknown key 'modell'; did you mean 'model'?" in err


def test_masks_stops_before_the_removal(cleanplate, scenes, tmp_path):
    code, _, err = cleanplate("masks", scenes / "images", tmp_path / "out", "--masks", scenes / "masks")
    assert code == 0
    assert "2 masked" in err
    assert sorted(os.listdir(tmp_path / "out" / "masks")) == ["0000.png.png", "0001.png.png"]


def test_explain_knows_presets_and_withdrawn_ids_without_network(cleanplate):
    code, out, _ = cleanplate("models", "explain", "sd15", "--json")
    facts = json.loads(out)
    assert code == 0
    assert (facts["in_channels"], facts["method"]) == (9, "inpainting")
    assert facts["repo"] == "stable-diffusion-v1-5/stable-diffusion-inpainting"
    code, out, err = cleanplate("models", "explain", "runwayml/stable-diffusion-inpainting", "--json")
    assert json.loads(out)["repo"] == "stable-diffusion-v1-5/stable-diffusion-inpainting"
    assert err.count("withdrawn") == 1


def test_models_lists_every_segmenter_with_what_it_takes_its_licence_and_its_weights(cleanplate):
    from masks import SEGMENTERS

    _, out, _ = cleanplate("models")
    listed = out.split("Segmenters")[1].splitlines()
    assert max(map(len, out.splitlines())) <= 80
    for name, row in SEGMENTERS.items():
        (line,) = [line for line in listed if line.split()[:1] == [name]]
        assert row.license in line
        assert ("text" in line.split("apache")[0]) == (name not in ("sam", "sam2", "grabcut"))
        assert ("points" in line) == (name not in ("clipseg", "rf-detr"))
        assert not row.weights or row.weights in listed[listed.index(line) + 2]


def test_models_lists_every_preset_with_its_licence(cleanplate):
    from removal import PRESETS

    _, out, _ = cleanplate("models")
    assert re.findall(r"^[\w-]+", out.split("Segmenters")[0], re.M)[1 : len(PRESETS) + 1] == [*PRESETS]
    words = " ".join(out.split())
    for row in PRESETS.values():
        assert row.license in out
        assert f"{row.about.memory:g} GB of memory {row.about.evidence}" in words
        assert row.about.good_for in words
        assert not row.sha256 or f"pinned, SHA-256 {row.sha256[:12]}" in words


@pytest.mark.parametrize(
    ("arguments", "weights", "segmenter", "finds"),
    [
        (["bundled"], True, "bundled", True),
        (["classic"], True, "grabcut", True),
        (["lama"], False, "grounded-sam", False),
        (["sd15", "--method", "patchmatch"], True, "grounded-sam", False),
        (["bundled", "--vae", "taesd"], False, "bundled", True),
    ],
)
def test_explain_says_whether_weights_and_segmenter_are_on_this_machine(
    cleanplate, tmp_path, monkeypatch, arguments, weights, segmenter, finds
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    code, out, _ = cleanplate("models", "explain", *arguments, "--json")
    assert code == 0
    told = json.loads(out)
    assert (told["weights_here"], told["segmenter"], told["segmenter_here"]) == (weights, segmenter, finds)
    assert {"model", "repo", "path", "revision", "in_channels", "method", "reason", "license"} < set(told)
    _, out, _ = cleanplate("models", "explain", *arguments)
    said = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert (said["weights_here"], said["segmenter_here"]) == tuple("yes" if here else "no" for here in (weights, finds))


def test_doctor_finds_this_machine_well(cleanplate):
    code, out, _ = cleanplate("doctor")
    assert code == 0, out
    assert "bundled checkpoints: load" in out


def test_missing_system_libraries_end_in_3_with_the_fix(cleanplate, scenes, tmp_path, monkeypatch):
    def missing(*_, **__):
        raise ImportError("libxcb.so.1: cannot open shared object file: No such file or directory")

    monkeypatch.setattr("flows.run.run", missing)
    code, _, err = cleanplate(*by_mask(scenes, tmp_path / "out"))
    assert code == 3
    assert "apt-get install -y libgl1 libglib2.0-0" in err


def test_a_configured_server_makes_a_run_a_flow(monkeypatch, tmp_path):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert not tracking.server_configured()
    (tmp_path / "profiles.toml").write_text(
        'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "http://127.0.0.1:1/api"\n'
    )
    assert tracking.server_configured()
    monkeypatch.setenv("PREFECT_PROFILE", "ephemeral")
    assert not tracking.server_configured()
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    assert tracking.server_configured()


def test_a_finished_folder_is_recognised_without_torch_or_prefect(scenes, tmp_path):
    assert whole(*by_mask(scenes, tmp_path / "out"), "--no-flow").returncode == 0
    arguments = [str(argument) for argument in by_mask(scenes, tmp_path / "out")] + ["--no-flow"]
    program = (
        f"import sys; sys.argv = ['cleanplate', *{arguments!r}]\n"
        "from flows.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as ended:\n"
        "    print(ended.code, {'torch', 'prefect', 'diffusers', 'transformers'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert ended.stdout.split("\n")[-2] == "0 set()", ended.stderr


def test_output_on_a_pipe_is_plain(scenes, tmp_path):
    ended = whole(*by_mask(scenes, tmp_path / "out"), "--no-flow")
    assert "\x1b" not in ended.stderr + ended.stdout
    assert "\r" not in ended.stderr


def test_a_scene_folder_is_the_same_for_the_same_seed(cleanplate, tmp_path):
    for name in ("a", "b"):
        assert cleanplate("scenes", tmp_path / name, "--count", "3", "--seed", "4")[0] == 0
    cleanplate("scenes", tmp_path / "c", "--count", "3", "--seed", "5")
    first, again, other = (
        {p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*.*")} for n in ("a", "b", "c")
    )
    assert first == again != other
    assert {str(path.parent) for path in first} == {".", "images", "truth", "masks", "objects"}


def test_evaluate_ranks_the_truth_above_every_fill(cleanplate, scenes, tmp_path):
    import shutil

    shutil.copytree(scenes / "truth", tmp_path / "result" / "images")
    _, out, _ = cleanplate("evaluate", tmp_path / "result", scenes, "--json")
    figures = json.loads(out)
    assert figures["pictures"] == 2
    for part in ("all", "textured"):
        best = figures[part]["result"]
        assert (best["psnr"], best["there_again"]) == (99.0, 0.0)
        assert figures[part]["object left"]["there_again"] == 1.0
        for fill in ("object left", "ring mean", "Telea", "VAE ceiling"):
            assert figures[part][fill]["psnr"] < best["psnr"]


def test_evaluate_sees_a_pixel_changed_outside_the_mask(cleanplate, scenes, tmp_path):
    import numpy as np
    from PIL import Image

    cleanplate(*by_mask(scenes, tmp_path / "out"))
    file = tmp_path / "out" / "images" / "0000.png"
    spoiled = np.array(Image.open(file))
    outside = np.argwhere(np.asarray(Image.open(tmp_path / "out" / "masks" / "0000.png.png")) == 0)[0]
    spoiled[tuple(outside)] ^= 7
    Image.fromarray(spoiled).save(file)
    _, out, _ = cleanplate("evaluate", tmp_path / "out", scenes, "--json")
    assert 0 < json.loads(out)["outside_max_diff"] <= 7


def test_an_interrupted_run_ends_in_130_and_says_how_to_go_on(cleanplate, scenes, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("flows.run.run", interrupted)
    code, _, err = cleanplate(*by_mask(scenes, tmp_path / "out"))
    assert code == 130
    assert "the same command goes on from here" in err


@pytest.mark.parametrize("dilate", ["99999999", "1" + "0" * 25, "1e300%"])
def test_a_dilation_beyond_the_picture_fails_its_pictures_and_not_the_run(cleanplate, scenes, tmp_path, dilate):
    code, _, err = cleanplate(*by_mask(scenes, tmp_path / "out", "--dilate", dilate))
    assert (code, "Traceback" in err) == (1, False)
    failed = [json.loads(line) for line in (tmp_path / "out" / "failures.jsonl").read_text().splitlines()]
    assert ["its mask covers 100% of the picture" in row["reason"] for row in failed] == [True, True]


def test_an_exit_code_comes_from_our_own_errors_alone():
    foreign = cv2.error("(-4:Insufficient memory)")
    foreign.code = -4
    assert code_of(foreign) is None
    assert [code_of(error("")) for error in (UsageError, EnvironmentFault, TooManyFailures, Busy)] == [2, 3, 4, 75]


def test_what_a_library_remarks_on_a_files_metadata_does_not_flood_the_terminal(cleanplate, scenes, tmp_path):
    place = scenes / "images" / "0000.png"
    tags = b"".join(struct.pack("<HHII", 0x9000 + k, 7, 9999, 8) for k in range(50))
    block = b"II*\0" + struct.pack("<IH", 8, 50) + tags + struct.pack("<I", 0)
    data = place.read_bytes()
    place.write_bytes(data[:33] + chunk(b"eXIf", block) + data[33:])
    code, _, err = cleanplate(*by_mask(scenes, tmp_path / "out"))
    assert (code, "Tag data" in err) == (0, False)
