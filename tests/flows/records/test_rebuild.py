"""A target whose manifest was lost or is damaged: nothing that people did is forgotten, and what is done stays done."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from flows.errors import EnvironmentFault, UsageError
from flows.export.delivery import export
from flows.formats.mask_files import encode_mask
from flows.job import Job
from flows.ledger.manifest import Manifest
from flows.ledger.target_settings import OtherSettings
from flows.merge import merge
from flows.review.decisions import Decision, apply
from flows.review.redo import redo
from flows.run import look, run
from tests.flows.small import Following, delivered, mask, rows, small

LEDGER = ".cleanplate/manifest.sqlite"
WAYS: dict[str, Callable[[Path], object]] = {
    "removed": lambda out: (out / LEDGER).unlink(),
    "empty": lambda out: (out / LEDGER).write_bytes(b""),
    "removed with all beside it": lambda out: shutil.rmtree(out / ".cleanplate"),
}


@pytest.fixture
def job(tmp_path) -> Job:
    """A finished target with an accepted, a rejected and a redone picture, and one without anything to remove."""
    small(tmp_path, 6)
    (tmp_path / "masks/p05.png.png").write_bytes(encode_mask(mask() & False))
    job = small(tmp_path, 6)
    run(job)
    decided = [
        Decision("p00.png", "accept", "good"),
        Decision("p01.png", "reject", "a stain"),
        Decision("p02.png", "reject"),
    ]
    apply(tmp_path / "out", decided)
    redo(tmp_path / "out", frozenset({"rejected"}), {"limit": 0, "dilate": 2})
    apply(tmp_path / "out", [Decision("p01.png", "reject", "a stain"), Decision("p02.png", None, "better")])
    return job


def by_hand(out: Path, name: str = "p03.png") -> bytes:
    """Somebody corrects a mask."""
    drawn = encode_mask(mask(4, 4, 8, 8))
    (out / f"masks/{name}.png").write_bytes(drawn)
    return drawn


@pytest.mark.parametrize("way", WAYS)
def test_a_run_without_its_manifest_keeps_reviews_notes_results_and_masks(job, tmp_path, way):
    out = tmp_path / "out"
    before, files = rows(out), delivered(out)
    WAYS[way](out)
    drawn = by_hand(out)
    assert look(job, Following()).counts == {"to do": 1, "finished": 5}
    following = Following()
    assert run(job, following).done == {"removed": 1}
    assert [said for said in following.said if "has lost its manifest: it is rebuilt from the 6 rows" in said]
    after = rows(out)
    assert (out / "masks/p03.png.png").read_bytes() == drawn
    assert (after["p03.png"]["segmenter"], following.done) == ("by hand", ["p03.png"])
    assert {name: row for name, row in after.items() if name != "p03.png"} == {
        name: row for name, row in before.items() if name != "p03.png"
    }
    changed = {name for name, sha in delivered(out).items() if files[name] != sha}
    assert changed == {"images/p03.png", "masks/p03.png.png"}
    assert run(job).tried == 0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("verb", ["redo", "review", "export", "merge"])
def test_every_verb_keeps_what_the_records_hold(job, tmp_path, way, verb):
    out, said = tmp_path / "out", Following()
    before = rows(out)
    drawn = by_hand(out)
    if verb == "merge":
        run(job.model_copy(update={"shard": "1/2"}))
    WAYS[way](out) if verb != "merge" else (out / LEDGER).unlink()
    if verb == "redo":
        assert redo(out, frozenset({"rejected"}), {"dilate": 3}, said).done == {"removed": 1}
    elif verb == "review":
        assert apply(out, [Decision("p04.png", "accept")], said.say) == 1
    elif verb == "export":
        assert export(out, tmp_path / "dest", say=said.say) >= 5
    else:
        merge(out, said.say)
    assert [line for line in said.said if "has lost its manifest" in line]
    after = rows(out)
    assert {
        name: (row["review"], row["note"]) for name, row in after.items() if name not in ("p01.png", "p04.png")
    } == {name: (row["review"], row["note"]) for name, row in before.items() if name not in ("p01.png", "p04.png")}
    assert (out / "masks/p03.png.png").read_bytes() == drawn
    run(job)
    assert (out / "masks/p03.png.png").read_bytes() == drawn
    assert rows(out)["p03.png"]["segmenter"] == "by hand"


def test_what_changed_meanwhile_is_due_and_other_settings_are_refused(job, tmp_path):
    out = tmp_path / "out"
    (out / LEDGER).unlink()
    shutil.copy(tmp_path / "in/p01.png", tmp_path / "in/p00.png")  # another picture
    (out / "images/p04.png").write_bytes(b"another")
    with pytest.raises(OtherSettings, match="max_area"):
        run(job.model_copy(update={"max_area": 0.5}))
    following = Following()
    run(job, following)
    assert following.done == ["p00.png", "p04.png"]


def test_without_manifest_and_job_file_other_settings_are_refused_as_well(job, tmp_path):
    for name in (LEDGER, "job.toml"):
        (tmp_path / "out" / name).unlink()
    with pytest.raises(OtherSettings, match="was made with other settings"):
        run(job.model_copy(update={"max_area": 0.5}))
    assert run(job).tried == 0
    assert rows(tmp_path / "out")["p00.png"]["review"] == "accept"


def test_a_mask_that_was_drawn_before_there_is_any_row_is_used(tmp_path):
    job = small(tmp_path)
    (tmp_path / "out/masks").mkdir(parents=True)
    drawn, following = by_hand(tmp_path / "out"), Following()
    run(job, following)
    assert (tmp_path / "out/masks/p03.png.png").read_bytes() == drawn
    assert rows(job.target)["p03.png"]["segmenter"] == "by hand"
    assert [said for said in following.said if "has masks and no records" in said]


def test_a_hand_made_mask_stays_when_its_picture_cannot_be_done(tmp_path):
    job = small(tmp_path)
    (tmp_path / "out/masks").mkdir(parents=True)
    drawn = by_hand(tmp_path / "out")
    data = (tmp_path / "in/p03.png").read_bytes()
    (tmp_path / "in/p03.png").write_bytes(data[:-30])
    run(job)
    assert (tmp_path / "out/masks/p03.png.png").read_bytes() == drawn


@pytest.mark.parametrize("line", ["{}", "[1]", "no JSON", '{"source": "../x", "status": "removed"}'])
def test_records_that_cannot_be_read_are_refused_with_the_line_and_stay(job, tmp_path, line):
    records = tmp_path / "out/metadata.jsonl"
    (tmp_path / "out" / LEDGER).unlink()
    records.write_text(records.read_text() + line + "\n")
    before = records.read_bytes()
    for _ in range(2):
        with pytest.raises(UsageError, match=r"metadata\.jsonl, line 7 is not a row .* correct the line"):
            run(job)
    assert records.read_bytes() == before


def test_keys_of_another_version_are_no_obstacle(job, tmp_path):
    records = tmp_path / "out/metadata.jsonl"
    (tmp_path / "out" / LEDGER).unlink()
    told = [json.loads(line) | {"new": 1} for line in records.read_text().splitlines()]
    records.write_text("".join(json.dumps(row) + "\n" for row in told))
    assert run(job).tried == 0


@pytest.mark.parametrize("damage", ["garbage", "cut", "overwritten"])
@pytest.mark.parametrize("verb", ["run", "look", "redo", "review"])
def test_a_damaged_manifest_says_what_is_kept_and_how_to_go_on(job, tmp_path, damage, verb):
    ledger = tmp_path / "out" / LEDGER
    data = ledger.read_bytes()
    ledger.write_bytes(
        {"garbage": b"x" * 5000, "cut": data[:5000], "overwritten": data[:100] + b"\xff" * (len(data) - 100)}[damage]
    )
    before = {**delivered(tmp_path / "out"), "records": hashlib.sha256((tmp_path / "out/metadata.jsonl").read_bytes())}
    verbs = {
        "run": lambda: run(job),
        "look": lambda: look(job, Following()),
        "redo": lambda: redo(tmp_path / "out"),
        "review": lambda: apply(tmp_path / "out", []),
    }
    with pytest.raises(
        EnvironmentFault, match=r"is damaged .* are kept: move this file away \(mv .*run the same command"
    ):
        verbs[verb]()
    assert {key: value for key, value in before.items() if key != "records"} == delivered(tmp_path / "out")
    for file in ledger.parent.glob("manifest.sqlite*"):
        file.rename(f"{file}.damaged")
    assert run(job).tried == 0
    assert rows(job.target)["p00.png"]["review"] == "accept"


def test_a_lost_ledger_of_a_shard_is_built_again(tmp_path):
    job = small(tmp_path)
    for part in ("1/2", "2/2"):
        run(job.model_copy(update={"shard": part}))
    (tmp_path / "out/.cleanplate/shards/1-of-2/manifest.sqlite").unlink()
    assert run(job.model_copy(update={"shard": "1/2"})).tried == 0
    (tmp_path / "out/.cleanplate/shards/2-of-2/manifest.sqlite").unlink()
    assert merge(tmp_path / "out").counts == {"removed": 4}
    assert run(job).tried == 0
    with Manifest(tmp_path / "out") as manifest:
        assert len(manifest.known()) == 4
