"""What comes from the hub, and what is said where it does not: against a stand-in on loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from removal import load_remover
from removal.checkpoints.fetch import fetch
from removal.checkpoints.known import look_up
from removal.checkpoints.lora import find
from removal.checkpoints.vae import fetched
from removal.options import Options
from removal.painting import pipelines
from removal.weights import hub
from tests.stand_in_hub import PRIVATE, TOKEN, Hub, ask_it, commit, serving

REPO = "someone/tiny"
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def served(tiny, tmp_path_factory):
    """A hub with a repo like the real ones: half precision beside full, other formats, a card, a safety checker."""
    from diffusers import DiffusionPipeline

    folder = tmp_path_factory.mktemp("hub") / "tiny"
    shutil.copytree(tiny("plain"), folder)
    DiffusionPipeline.from_pretrained(folder).save_pretrained(folder, variant="fp16")
    (folder / "README.md").write_text("---\nlicense: creativeml-openrail-m\n---\n")
    (folder / "unet/diffusion_pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "safety_checker").mkdir()
    (folder / "safety_checker/model.safetensors").write_bytes(b"not needed")
    closed = tmp_path_factory.mktemp("hub") / "closed"
    shutil.copytree(folder, closed)
    (closed / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    style = tmp_path_factory.mktemp("hub") / "style"
    style.mkdir()
    for name in ("pytorch_lora_weights.safetensors", "other.safetensors"):
        shutil.copy(tiny("plain") / "vae/diffusion_pytorch_model.safetensors", style / name)
    more = {"someone/style": style, "someone/vae": tiny("plain") / "vae"}
    with serving({REPO: folder, PRIVATE: folder, "someone/closed": closed} | more) as one:
        yield one


@pytest.fixture
def online(served: Hub, tmp_path, monkeypatch) -> Hub:
    """The library asks the stand-in, and keeps what it gets in an empty cache."""
    ask_it(served, tmp_path / "hub", monkeypatch)
    return served


def cleanplate(*words: str, served: Hub, home: Path, **env: str) -> subprocess.CompletedProcess[str]:
    settings = {"HF_ENDPOINT": served.url, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "flows", *words], capture_output=True, text=True, env=os.environ | settings | env
    )


# Fetching ------------------------------------------------------------------------------------------------------------


def test_only_what_a_removal_needs_is_fetched_and_only_once(online):
    folder = fetch(look_up(REPO, offline=False))
    there = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert "unet/diffusion_pytorch_model.safetensors" in there
    assert not [name for name in there if ".fp16" in name or name.endswith(".bin") or "safety" in name]
    assert folder.name == commit(REPO)
    online.asked.clear()
    assert fetch(look_up(REPO, offline=False)) == folder
    assert not [name for name in online.fetched() if name.endswith(".safetensors")]


def test_what_was_fetched_is_loaded_without_a_connection_as_the_folder_it_came_from(online, tiny, monkeypatch):
    fetch(look_up(REPO, offline=False))
    online.asked.clear()
    checkpoint = look_up(REPO, offline=True)
    options = Options(offline=True, device="cpu", steps=1)
    ours = pipelines.load(checkpoint, options, checkpoint.in_channels).pipeline.unet.state_dict()
    own = pipelines.load(look_up(str(tiny("plain"))), options, 4).pipeline.unet.state_dict()
    assert all(ours[name].equal(own[name]) for name in own)
    assert online.asked == []


def test_a_loaded_remover_says_the_commit_of_its_weights(online):
    options = {"device": "cpu", "steps": 1}
    assert load_remover(REPO, **options).choice.checkpoint.revision == commit(REPO)


def test_a_lora_and_an_autoencoder_are_fetched_by_their_ids(online):
    lora = find("someone/style:0.5")
    assert (lora.file.name, lora.weight) == ("pytorch_lora_weights.safetensors", 0.5)
    assert find("someone/style/other.safetensors").file.name == "other.safetensors"
    assert (fetched("someone/vae", "sd15") / "diffusion_pytorch_model.safetensors").is_file()
    online.asked.clear()
    assert find("someone/style:0.5", offline=True).file == lora.file
    assert online.asked == []


def test_a_revision_is_fetched_by_name_or_commit(online):
    for revision in ("main", commit(REPO)):
        assert fetch(look_up(REPO, revision, offline=False)).name == commit(REPO)


def test_a_private_repo_is_opened_by_the_token(online, monkeypatch):
    with pytest.raises(hub.Unavailable, match="for a private one set HF_TOKEN"):
        look_up(PRIVATE, offline=False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert fetch(look_up(PRIVATE, offline=False)).is_dir()


def test_a_broken_connection_leaves_what_is_in_the_cache_to_be_used(online, monkeypatch):
    folder = fetch(look_up(REPO, offline=False))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert hub.snapshot(REPO, lambda names: ["model_index.json"]) == folder


# Refusals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("repo", "words"),
    [
        ("someone/gated", r"is gated: accept its terms at https://huggingface\.co/someone/gated, then set HF_TOKEN"),
        ("someone/missing", "the hub has no someone/missing, or keeps it private: check its spelling"),
    ],
)
def test_a_refusal_says_what_to_do(online, repo, words):
    with pytest.raises(hub.Unavailable, match=words):
        hub.snapshot(repo, list)


def test_a_hub_that_is_down_is_told_from_a_repo_that_is_not_there(online, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(hub.Unavailable, match=r"the hub cannot be reached .* is not in its cache; `cleanplate models"):
        hub.snapshot(REPO, list)


def test_an_unknown_revision_is_named(online):
    with pytest.raises(hub.Unavailable, match="someone/tiny has no revision 'v9'"):
        hub.snapshot(REPO, list, "v9")


def test_offline_says_so_and_asks_nobody(online):
    with pytest.raises(hub.Unavailable, match=r"is not in the hub's cache .* and offline forbids fetching it"):
        hub.snapshot(REPO, list, offline=True)
    assert online.asked == []


def test_a_part_in_the_cache_is_told_from_nothing(online):
    fetch(look_up(REPO, offline=False), of=("unet",))
    with pytest.raises(hub.Unavailable, match=r"only a part of someone/tiny is in the hub's cache .*no vae/"):
        fetch(look_up(REPO, offline=True), offline=True)


def test_a_disk_without_room_is_known_before_anything_is_fetched(online, monkeypatch):
    full = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: full)
    with pytest.raises(
        hub.Unavailable, match=r"takes .* more, and 0\.0 MB are free at .*; free some space, or set HF_H"
    ):
        hub.snapshot(REPO, lambda names: [name for name in names if name.endswith(".safetensors")])
    assert online.fetched() == []


def test_a_disk_that_fills_up_all_the_same_says_so(online, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("huggingface_hub.snapshot_download", full)
    with pytest.raises(hub.Unavailable, match=r"the disk is full at .*; free some space, or set HF_HOME"):
        hub.snapshot(REPO, lambda names: ["model_index.json"])


def test_a_licence_that_forbids_commercial_use_is_read_before_any_weights_are_fetched(online):
    row = look_up("someone/closed", offline=False)
    with pytest.raises(ValueError, match=r"licence cc-by-nc-4\.0, which forbids commercial use; .*--accept-license"):
        fetch(row)
    assert not [name for name in online.fetched() if name.endswith(".safetensors")]
    assert fetch(row, accept_license=True).is_dir()


# The command ---------------------------------------------------------------------------------------------------------


def test_pull_says_how_much_prints_where_it_is_and_never_a_token(online, tmp_path):
    answer = cleanplate("models", "pull", PRIVATE, "--json", served=online, home=tmp_path / "home", HF_TOKEN=TOKEN)
    assert answer.returncode == 0, answer.stderr
    facts = json.loads(answer.stdout)
    assert (facts["repo"], facts["revision"]) == (PRIVATE, commit(PRIVATE))
    assert Path(facts["path"], "unet/diffusion_pytorch_model.safetensors").is_file()
    assert "of them to fetch" in answer.stderr
    assert TOKEN not in answer.stdout + answer.stderr


def test_pull_ends_as_an_environment_fault_without_a_traceback(online, tmp_path):
    answer = cleanplate("models", "pull", "someone/gated", served=online, home=tmp_path / "home", HF_TOKEN=TOKEN)
    assert answer.returncode == 3
    assert "accept its terms" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert TOKEN not in answer.stderr
