"""Weights that are not here: what a run, a look, `doctor`, `status` and `models pull` say of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.cli import doctor
from flows.cli.pulling import pull_model
from flows.cli.verbs.machine import doctor as verb
from flows.cli.verbs.results import status
from flows.errors import EnvironmentFault, UsageError
from flows.job import Job
from flows.ledger.manifest import Manifest
from flows.places.folders import open_folders
from flows.records import card as cards
from flows.run import look, run
from flows.samples.comparison import compare
from flows.samples.scenes import write_scenes
from flows.steps.needed_weights import missing, pull_of
from masks import sam
from removal import PRESETS
from tests.flows.small import Following, rows, small
from tests.stand_in_hub import ask_it, serving

CLOSED = "http://127.0.0.1:1"
DINO = "https://huggingface.co/IDEA-Research/grounding-dino-tiny"
SD15 = "https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-inpainting"


@pytest.fixture
def unreachable(tmp_path, monkeypatch):
    """Neither the hub nor SAM's host answers, and nothing was fetched before."""
    settings = {"HF_HUB_OFFLINE": False, "ENDPOINT": CLOSED, "HF_HUB_CACHE": str(tmp_path / "hub")}
    for name, value in settings.items():
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path / "torch"))
    monkeypatch.setattr(sam, "URL", f"{CLOSED}/segment_anything/")


def photos(place: Path, **settings) -> Job:
    return small(place, **{"masks": "", "text": ["person"], "model": "sd15", "method": "auto"} | settings)


def test_a_run_that_can_fetch_nothing_says_what_is_missing_from_where_how_large_and_what_to_do(tmp_path, unreachable):
    with pytest.raises(EnvironmentFault) as error:
        run(photos(tmp_path))
    said = str(error.value)
    for part in (
        *(
            "127.0.0.1:1 cannot be reached",
            f"690 MB, {DINO}",
            f"375 MB, {CLOSED}/segment_anything/sam_vit_b_01ec64.pth",
        ),
        *(
            f"2.1 GB, {SD15}",
            "`cleanplate models pull sd15`",
            "HTTPS_PROXY",
            "What works without any",
            "--method patchmatch or telea with",
        ),
    ):
        assert part in said
    assert not (tmp_path / "out" / "images").exists()
    with pytest.raises(UsageError, match="ended before it wrote its records; run the same command again"):
        status(str(tmp_path / "out"))


@pytest.mark.parametrize(("settings", "reason"), [({}, "HF_HUB_OFFLINE"), ({"offline": True}, "--offline")])
def test_so_does_one_that_must_not_fetch_without_asking_anybody(
    tmp_path, unreachable, no_network, monkeypatch, settings, reason
):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EnvironmentFault, match=f"cannot be fetched: {reason} forbids it"):
        run(photos(tmp_path, **settings))


def test_a_comparison_says_the_same_before_it_draws_anything(tmp_path, unreachable):
    with pytest.raises(EnvironmentFault, match="What works without any"):
        compare(photos(tmp_path), ["telea"], lambda _: None)
    assert not (tmp_path / "out").exists()


def test_where_sam_alone_is_missing_its_own_host_is_asked(tmp_path, unreachable):
    with pytest.raises(EnvironmentFault, match=r"127.0.0.1:1 cannot be reached \(.*Connection refused"):
        run(photos(tmp_path, text=[], point=["5,5"], model="bundled", segmenter="sam:vit_l"))


def test_a_look_says_how_much_would_be_fetched_and_asks_nobody(tmp_path, unreachable, no_network):
    heard = Following()
    takes = look(photos(tmp_path), heard).takes
    assert takes.download == 690_000_000 + 375_042_383 + 2_100_000_000
    assert any(said.startswith("3.2 GB of weights to fetch first: IDEA-Research") for said in heard.said)
    assert look(photos(tmp_path, vae="taesd"), heard).takes.download == takes.download
    assert any("GB and more of weights" in said and "taesd" in said for said in heard.said)


def test_masks_need_no_remover_and_given_masks_no_segmenter_and_telea_nothing(tmp_path, unreachable):
    assert [one.finds for one in missing(photos(tmp_path), masks_only=True)] == [True, True]
    given = {"text": [], "masks": str(tmp_path / "masks")}
    assert [one.origin for one in missing(photos(tmp_path, **given))] == [SD15]
    assert missing(photos(tmp_path, **given, method="telea")) == []
    assert missing(photos(tmp_path, **given, model="bundled")) == []


def test_pictures_whose_masks_are_there_need_no_segmenter(tmp_path, unreachable, monkeypatch):
    write_scenes(tmp_path / "scenes", count=2, seed=3)
    folders = {"source": str(tmp_path / "scenes/images"), "target": str(tmp_path / "out")}
    job = Job(**folders, prompts=str(tmp_path / "scenes/prompts.jsonl"), model="bundled", method="telea", verify=False)
    run(job, masks_only=True)
    finders = [one for one in missing(photos(tmp_path)) if one.finds]
    monkeypatch.setattr("flows.preflight.missing", lambda *_: finders)
    run(job)
    assert {row["status"] for row in rows(tmp_path / "out").values()} == {"removed"}
    with pytest.raises(EnvironmentFault, match="weights that this needs"):
        run(job.model_copy(update={"target": str(tmp_path / "other")}))


@pytest.fixture
def here(monkeypatch):
    """All weights are on this machine, as far as a run can see before it loads them."""
    for place in ("flows.preflight", "flows.run"):
        monkeypatch.setattr(f"{place}.missing", lambda *_: [])


def said_of_a_look(job: Job, masks_only: bool = False) -> list[str]:
    heard = Following()
    look(job, heard, masks_only)
    return [said for said in heard.said if "--model classic" in said]


def test_where_a_cpu_would_take_minutes_a_picture_a_look_says_what_classic_would_do(tmp_path, here):
    (said,) = said_of_a_look(photos(tmp_path, device="cpu"))
    assert said.startswith("sd15 paints on a CPU here, which takes minutes a picture; in seconds and without weights: ")
    assert "--model classic with --point or --box" in said


def test_a_network_of_that_size_is_slow_there_whatever_its_method(tmp_path, here):
    (said,) = said_of_a_look(photos(tmp_path, device="cpu", model="osor"))
    assert said.startswith("osor paints on a CPU here, which takes minutes a picture")


def test_so_does_a_run_at_its_start_which_changes_nothing_by_itself(tmp_path, here, monkeypatch):
    heard, begun = Following(), []
    monkeypatch.setattr("flows.run._do", lambda work, *_: begun.append(work.job))
    run(photos(tmp_path, device="cpu"), heard)
    assert sum("takes minutes a picture" in said for said in heard.said) == 1
    assert [(job.model, job.method) for job in begun] == [("sd15", "auto")]


def test_auto_is_a_cpu_where_there_is_no_gpu_and_is_not_where_there_is_one(tmp_path, here, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert len(said_of_a_look(photos(tmp_path))) == 1
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert said_of_a_look(photos(tmp_path)) == []


@pytest.mark.parametrize(
    "settings",
    [{"method": "patchmatch"}, {"method": "telea"}, {"model": "bundled"}, {"model": "lama"}, {"device": "cuda:0"}],
    ids=str,
)
def test_what_is_quick_on_a_cpu_or_not_done_there_is_not_called_slow(tmp_path, here, settings):
    given = {"text": [], "masks": str(tmp_path / "masks"), "device": "cpu"}
    assert said_of_a_look(photos(tmp_path, **given | settings)) == []


def test_nor_are_masks_alone_nor_a_small_network_of_ones_own(tmp_path, here):
    assert said_of_a_look(photos(tmp_path, device="cpu"), masks_only=True) == []
    own = str(Path(PRESETS["bundled"].repo))
    assert said_of_a_look(photos(tmp_path, device="cpu", model=own)) == []


def test_a_finished_target_is_not_asked_for_weights(tmp_path, monkeypatch):
    run(small(tmp_path))
    monkeypatch.setattr("flows.preflight.missing", lambda *_: pytest.fail("weights were looked for"))
    assert run(small(tmp_path)).exit_code == 0
    assert {row["status"] for row in rows(tmp_path / "out").values()} == {"removed"}


def test_status_of_a_target_without_a_row_says_so_and_how_to_go_on(tmp_path, capsys):
    job = small(tmp_path)
    folders = open_folders(job.source, job.target)
    with Manifest(folders.target.root):
        cards.write(folders.target, job, [])
    assert status(job.target) == 0
    out = capsys.readouterr().out
    assert "nothing is done yet" in out
    assert f"next: cleanplate run {job.source} {job.target} --job {job.target}/job.toml" in out


def test_doctor_sees_weights_that_are_missing_and_does_not_call_the_machine_broken(
    tmp_path, unreachable, monkeypatch, capsys
):
    monkeypatch.setattr(doctor, "CHECKS", [("weights", doctor._weights, "")])
    assert verb(tmp_path) == 0
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("MISS weights: 3.2 GB of sd15 missing: ")
    assert "cannot be fetched now: " in line
    assert "`cleanplate models pull sd15`" in line


def test_pull_brings_what_finds_the_objects_and_of_it_only_what_is_loaded(tmp_path, unreachable, monkeypatch):
    repo = tmp_path / "dino"
    (repo / "onnx").mkdir(parents=True)
    for name in ("config.json", "vocab.txt", "model.safetensors", "pytorch_model.bin", "onnx/model.safetensors"):
        (repo / name).write_bytes(name.encode())
    (tmp_path / "sam.pth").write_bytes(b"")
    said: list[str] = []
    with serving({"someone/dino": repo}) as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        place = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", place)
        pull_model("bundled", None, False, [], "", f"grounded-sam:{tmp_path}/sam.pth+someone/dino", said.append)
        assert {*hub.fetched()} >= {"config.json", "vocab.txt", "model.safetensors"}
        assert not {"pytorch_model.bin", "onnx/model.safetensors"} & {*hub.fetched()}
    assert any("someone/dino" in line for line in said)


def test_weights_that_are_added_to_others_come_with_them(tmp_path, unreachable, monkeypatch):
    others, own = tmp_path / "sdxl", tmp_path / "osor"
    networks = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}
    for name in ("model_index.json", *(f"{part}/{stem}.fp16.safetensors" for part, stem in networks.items())):
        (others / name).parent.mkdir(parents=True, exist_ok=True)
        (others / name).write_bytes(name.encode())
    own.mkdir()
    for name in ("sdxlinpainting_phase2.safetensors", "sdxlinpainting_phase2.pth"):
        (own / name).write_bytes(name.encode())
    job = photos(tmp_path, text=[], masks=str(tmp_path / "masks"), model="osor")
    said: list[str] = []
    with serving({"eerie-road/osor-sdxl": own, PRESETS["sdxl"].repo: others}) as hub:
        ask_it(hub, tmp_path / "hub", monkeypatch)
        lacking = missing(job)
        assert [one.name for one in lacking] == ["eerie-road/osor-sdxl", PRESETS["sdxl"].repo]
        assert [one.size for one in lacking] == [3_100_000_000, 7_000_000_000]
        pull_model("osor", None, False, [], "", "none", said.append)
        both = {"sdxlinpainting_phase2.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors"}
        assert {*hub.fetched()} >= both
        assert "sdxlinpainting_phase2.pth" not in hub.fetched()
        assert missing(job) == []
    assert any("eerie-road/osor-sdxl: 1 file," in line for line in said)


def test_a_preset_is_not_fetched_whole_without_its_segmenter(tmp_path, unreachable, monkeypatch):
    monkeypatch.setattr("removal.checkpoints.fetch.fetch", lambda *_, **__: tmp_path)
    monkeypatch.setattr("flows.cli.pulling._plan", lambda *_: None)
    with pytest.raises(EnvironmentFault, match="grounding-dino-tiny"):
        pull_model("sd15", None, False, [], "", "auto", lambda _: None)


def test_the_command_that_fetches_names_all_that_the_job_names():
    job = Job(model="me/mine", segmenter="sam2", lora=["a/b:0.5"], vae="taesd", text=["x"])
    assert pull_of(job) == "cleanplate models pull me/mine --segmenter sam2 --lora a/b:0.5 --vae taesd"
