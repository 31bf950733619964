"""The job over real folders: with Telea where the removal does not matter, with the bundled models where it does."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows import run as whole_job
from flows.errors import EnvironmentFault, TooManyFailures, UsageError
from flows.job import Job
from flows.ledger.lock import Busy
from flows.ledger.manifest import Manifest
from flows.ledger.target_settings import OtherSettings
from flows.outcome import Outcome
from flows.portions import Steps
from flows.run import Silent, run
from flows.samples.scenes import write_scenes


@pytest.fixture
def scenes(tmp_path) -> Path:
    write_scenes(tmp_path / "scenes", count=4, seed=11)
    return tmp_path / "scenes"


def job(scenes: Path, **settings) -> Job:
    given = {"prompts": str(scenes / "prompts.jsonl"), "model": "bundled", "method": "telea"}
    return Job(source=str(scenes / "images"), target=str(scenes.parent / "out"), **given | settings)


def by_mask(scenes: Path, **settings) -> Job:
    return job(scenes, prompts="", masks=str(scenes / "masks"), **settings)


def rows(target: Path, file: str = "metadata.jsonl") -> dict[str, dict]:
    return {row["source"]: row for row in map(json.loads, (target / file).read_text().splitlines())}


def pixels(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file).convert("RGB")).astype(int)


class Counting(Silent):
    def __init__(self):
        self.said, self.done = [], []

    def say(self, message):
        self.said.append(message)

    def did(self, outcome):
        self.done.append(outcome.source)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_folder_goes_in_and_a_folder_with_the_same_names_comes_out(scenes):
    before = tree(scenes)
    summary = run(job(scenes, method="auto", steps=4))
    out = scenes.parent / "out"
    assert summary.done == {"removed": 4}
    assert sorted(os.listdir(out / "images")) == sorted(os.listdir(scenes / "images"))
    for name, row in rows(out).items():
        kept = ~(pixels(out / row["mask_file_name"])[..., 0] > 0)
        assert (pixels(out / row["file_name"]) == pixels(scenes / "images" / name))[kept].all()
        assert (pixels(out / row["file_name"]) != pixels(scenes / "images" / name)).any()
        assert (row["method"], row["outside_max_diff"], row["status"]) == ("inpainting", 0, "removed")
        assert (row["steps"], row["strength"], row["segmenter"]) == (4, 1.0, "bundled")
        assert "9 input channels" in row["reason"]
    assert tree(scenes) == before


def test_every_row_has_every_key(scenes):
    run(by_mask(scenes))
    for row in rows(scenes.parent / "out").values():
        assert set(row) == set(Outcome("x", "y").row())


def test_the_two_record_files_name_every_picture_once(scenes):
    (scenes / "images" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (scenes / "images" / "notes.txt").write_text("not a picture")
    run(by_mask(scenes))
    out = scenes.parent / "out"
    done, failed = rows(out), rows(out, "failures.jsonl")
    assert set(done) | set(failed) == {"0000.png", "0001.png", "0002.png", "0003.png", "broken.png"}
    assert set(failed) == {"broken.png"}
    assert failed["broken.png"]["reason"] == "it begins like a PNG, and is damaged"
    assert not (out / "images" / "broken.png").exists()


def test_one_broken_file_never_ends_the_run_and_the_exit_code_says_so(scenes):
    (scenes / "images" / "0001.png").write_bytes(b"")
    summary = run(by_mask(scenes))
    assert summary.done == {"removed": 3, "failed": 1}
    assert summary.exit_code == 1
    assert rows(scenes.parent / "out", "failures.jsonl")["0001.png"]["reason"] == "the file is empty"


def test_a_second_run_does_nothing(scenes):
    run(by_mask(scenes))
    before = tree(scenes.parent / "out")
    watch = Counting()
    summary = run(by_mask(scenes), watch)
    assert (summary.tried, watch.done, summary.counts) == (0, [], {"removed": 4})
    kept = {name: data for name, data in tree(scenes.parent / "out").items() if ".cleanplate" not in name}
    assert kept == {name: data for name, data in before.items() if ".cleanplate" not in name}


def test_a_second_run_needs_no_model(scenes):
    run(by_mask(scenes))

    def unwanted(*_):
        raise AssertionError("a finished folder was worked on")

    assert run(by_mask(scenes), steps=Steps(unwanted, unwanted)).tried == 0


@pytest.mark.parametrize("change", ["input", "output deleted", "output truncated", "new", "mask"])
def test_what_changed_is_done_again_and_nothing_else(scenes, change):
    run(by_mask(scenes))
    out = scenes.parent / "out"
    if change == "input":
        shutil.copy(scenes / "truth" / "0002.png", scenes / "images" / "0002.png")
    elif change == "output deleted":
        (out / "images" / "0002.png").unlink()
    elif change == "output truncated":
        (out / "images" / "0002.png").write_bytes(b"half")
    elif change == "new":
        shutil.copy(scenes / "images" / "0001.png", scenes / "images" / "0009.png")
        shutil.copy(scenes / "masks" / "0001.png", scenes / "masks" / "0009.png")
    else:
        shutil.copy(scenes / "masks" / "0001.png", scenes / "masks" / "0002.png")
    watch = Counting()
    run(by_mask(scenes), watch)
    assert watch.done == ["0009.png" if change == "new" else "0002.png"]
    assert Image.open(out / "images" / watch.done[0]).size == (128, 128)


def test_a_picture_that_was_only_touched_is_not_done_again(scenes):
    run(by_mask(scenes))
    os.utime(scenes / "images" / "0001.png", (1, 1))
    assert run(by_mask(scenes)).tried == 0
    assert run(by_mask(scenes)).tried == 0


def test_a_changed_prompt_makes_its_picture_due_again(scenes):
    run(job(scenes))
    lines = (scenes / "prompts.jsonl").read_text().splitlines()
    row = json.loads(lines[3]) | {"points": [[5, 5, 1]]}
    (scenes / "prompts.jsonl").write_text("\n".join([*lines[:3], json.dumps(row)]))
    watch = Counting()
    run(job(scenes), watch)
    assert watch.done == ["0003.png"]


def test_other_settings_on_an_old_target_are_refused_with_the_fields_named(scenes):
    run(by_mask(scenes))
    with pytest.raises(OtherSettings, match="seed: 0 then, 3 now"):
        run(by_mask(scenes, seed=3))
    assert run(by_mask(scenes, seed=3, existing="overwrite")).done == {"removed": 4}


def test_more_tries_are_another_setting_that_may_still_be_chosen_after_the_masks(scenes):
    run(by_mask(scenes), masks_only=True)
    assert run(by_mask(scenes, tries=2)).done == {"removed": 4}
    with pytest.raises(OtherSettings, match="tries: 2 then, 1 now"):
        run(by_mask(scenes))


@pytest.mark.parametrize(
    ("settings", "complaint"), [({"verify": False}, "without verify"), ({"prompt": "a bench"}, "with a prompt")]
)
def test_only_what_is_judged_can_be_tried_again(settings, complaint):
    assert Job(**settings).tries == 1
    with pytest.raises(ValueError, match=f"{complaint} no result is judged"):
        Job(tries=2, **settings)


def test_settings_that_do_not_affect_pixels_may_change(scenes):
    run(by_mask(scenes))
    assert run(by_mask(scenes, batch_size=1, device="cpu", max_failures=3)).tried == 0


def test_existing_error_refuses_a_target_with_finished_pictures(scenes):
    run(by_mask(scenes))
    with pytest.raises(UsageError, match="4 finished pictures"):
        run(by_mask(scenes, existing="error"))


def test_a_limit_leaves_the_rest_for_the_next_run(scenes):
    assert run(by_mask(scenes, limit=1)).done == {"removed": 1}
    assert run(by_mask(scenes)).done == {"removed": 3}


def test_a_run_that_is_killed_goes_on_where_it_stopped(scenes):
    class Dying(Counting):
        def did(self, outcome):
            super().did(outcome)
            if len(self.done) == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(by_mask(scenes), Dying())
    watch = Counting()
    run(by_mask(scenes), watch)
    assert watch.done == ["0002.png", "0003.png"]
    assert len(rows(scenes.parent / "out")) == 4


def test_an_interrupted_run_ends_in_the_same_pictures_as_a_whole_one(scenes):
    run(job(scenes, method="auto", steps=3))
    whole = tree(scenes.parent / "out" / "images")
    shutil.rmtree(scenes.parent / "out")
    run(job(scenes, method="auto", steps=3, limit=1))
    run(job(scenes, method="auto", steps=3, batch_size=2))
    for name in whole:
        assert np.abs(pixels(scenes.parent / "out" / "images" / name) - _decoded(whole[name])).max() <= 1


def _decoded(data: bytes) -> np.ndarray:
    import io

    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def test_a_picture_that_vanished_leaves_the_records(scenes):
    run(by_mask(scenes))
    (scenes / "images" / "0000.png").unlink()
    run(by_mask(scenes))
    assert set(rows(scenes.parent / "out")) == {"0001.png", "0002.png", "0003.png"}


def test_a_second_run_at_the_same_time_is_refused(scenes):
    (scenes.parent / "out").mkdir()
    with Manifest(scenes.parent / "out"), pytest.raises(Busy, match="another run"):
        run(by_mask(scenes))
    assert run(by_mask(scenes)).done == {"removed": 4}


def test_pictures_without_a_prompt_are_copied_byte_for_byte(scenes):
    first = (scenes / "prompts.jsonl").read_text().splitlines()[0]
    (scenes / "prompts.jsonl").write_text(first)
    summary = run(job(scenes))
    out = scenes.parent / "out"
    assert summary.done == {"removed": 1, "nothing found": 3}
    assert (out / "images" / "0002.png").read_bytes() == (scenes / "images" / "0002.png").read_bytes()
    assert rows(out)["0002.png"]["reason"] == "nothing was asked of it"


@pytest.mark.parametrize(("rule", "status"), [("skip", "skipped"), ("error", "failed")])
def test_pictures_with_nothing_to_find_go_as_the_job_says(scenes, rule, status):
    for name in ("0000", "0001", "0002"):
        (scenes / "masks" / f"{name}.png").unlink()
    summary = run(by_mask(scenes, nothing_found=rule))
    assert summary.done == {"removed": 1, status: 3}
    assert os.listdir(scenes.parent / "out" / "images") == ["0003.png"]
    assert set(rows(scenes.parent / "out", "failures.jsonl")) == {"0000.png", "0001.png", "0002.png"}


def test_masks_can_be_looked_at_and_corrected_before_the_removal(scenes):
    out = scenes.parent / "out"
    assert run(job(scenes), masks_only=True).done == {"masked": 4}
    assert not (out / "images").exists()
    corrected = np.zeros((128, 128), np.uint8)
    corrected[10:20, 10:20] = 255
    Image.fromarray(corrected).save(out / "masks" / "0001.png.png")
    run(job(scenes))
    changed = (pixels(out / "images" / "0001.png") != pixels(scenes / "images" / "0001.png")).any(axis=2)
    assert not changed[corrected == 0].any()
    assert rows(out)["0001.png"]["mask_area"] == pytest.approx(100 / 128**2, abs=1e-5)


def test_a_run_that_says_nothing_uses_the_masks_that_are_there(scenes):
    run(job(scenes), masks_only=True)
    assert run(job(scenes, prompts="")).done == {"removed": 4}


def test_given_masks_are_used_as_they_are_unless_dilation_is_asked_for(scenes):
    run(by_mask(scenes))
    out = scenes.parent / "out"
    assert (pixels(out / "masks" / "0000.png.png") == pixels(scenes / "masks" / "0000.png")).all()
    run(by_mask(scenes, dilate=3, existing="overwrite"))
    assert pixels(out / "masks" / "0000.png.png").sum() > pixels(scenes / "masks" / "0000.png").sum()
    assert rows(out)["0000.png"]["dilate"] == 3


def test_one_mask_can_serve_all_pictures(scenes):
    run(job(scenes, prompts="", masks=str(scenes / "masks" / "0000.png")))
    assert {row["mask_area"] for row in rows(scenes.parent / "out").values()} == {
        round(float((pixels(scenes / "masks" / "0000.png")[..., 0] > 0).mean()), 6)
    }


def test_a_mask_of_another_size_fails_its_picture_with_both_sizes(scenes):
    Image.new("L", (64, 32), 255).save(scenes / "masks" / "0001.png")
    summary = run(by_mask(scenes))
    assert summary.done == {"removed": 3, "failed": 1}
    reason = rows(scenes.parent / "out", "failures.jsonl")["0001.png"]["reason"]
    assert "64×32" in reason
    assert "128×128" in reason


def test_a_mask_over_most_of_the_picture_is_refused_not_painted(scenes):
    Image.new("L", (128, 128), 255).save(scenes / "masks" / "0001.png")
    run(by_mask(scenes))
    assert "100% of the picture" in rows(scenes.parent / "out", "failures.jsonl")["0001.png"]["reason"]


def test_a_point_outside_the_picture_fails_that_picture_alone(scenes):
    lines = [json.loads(line) for line in (scenes / "prompts.jsonl").read_text().splitlines()]
    lines = [{"file_name": line["file_name"], "points": line["points"]} for line in lines]
    lines[2]["points"] = [[500, 5, 1]]
    (scenes / "prompts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    summary = run(job(scenes))
    assert summary.done == {"removed": 3, "failed": 1}
    assert "500,5 lies outside" in rows(scenes.parent / "out", "failures.jsonl")["0002.png"]["reason"]


def test_a_word_the_bundled_models_do_not_know_is_refused_before_anything_is_touched(scenes):
    with pytest.raises(UsageError, match="does not know the word 'dog'"):
        run(job(scenes, prompts="", text="dog"))
    assert not (scenes.parent / "out").exists()


def test_failures_above_the_limit_stop_the_run(scenes):
    for name in ("0000", "0001", "0002"):
        (scenes / "images" / f"{name}.png").write_bytes(b"")
    with pytest.raises(TooManyFailures, match="2 of 2 pictures failed"):
        run(by_mask(scenes, max_failures=1))
    assert len(rows(scenes.parent / "out", "failures.jsonl")) in (2, 3)  # what was in work with them has its row too


def test_a_share_of_failures_is_judged_after_the_first_twenty():
    assert Job(max_failures="10%").failures_allowed(19) == float("inf")
    assert Job(max_failures="10%").failures_allowed(20) == 2
    assert Job(max_failures=5).failures_allowed(3) == 5


def test_weights_that_cannot_be_had_stop_the_run_and_mark_no_picture(scenes, monkeypatch):
    def missing(*_, **__):
        raise OSError("no weights here")

    monkeypatch.setattr("flows.steps.remove_masked.load_remover", missing)
    with pytest.raises(EnvironmentFault, match="no weights here"):
        run(by_mask(scenes))
    monkeypatch.undo()
    assert run(by_mask(scenes)).done == {"removed": 4}


def test_a_full_disk_stops_the_run_and_marks_no_picture(scenes, monkeypatch):
    import errno

    from flows.places.target import Target

    real = Target.write

    def full(self, relative, data):
        if relative == "images/0002.png":
            raise OSError(errno.ENOSPC, "No space left on device", relative)
        return real(self, relative, data)

    monkeypatch.setattr(Target, "write", full)
    with pytest.raises(EnvironmentFault, match="No space left"):
        run(by_mask(scenes))
    monkeypatch.undo()
    assert set(rows(scenes.parent / "out")) == {"0000.png", "0001.png"}
    assert run(by_mask(scenes)).done == {"removed": 2}


def test_a_model_that_fails_on_one_picture_of_a_batch_fails_that_one_alone(scenes, monkeypatch):
    from removal import load_remover

    real = load_remover("bundled", method="telea")

    class Choking:
        choice, steps, strength = real.choice, real.steps, real.strength

        def __call__(self, images, masks, seeds):
            if any((image == bad).all() for image in images):
                raise RuntimeError("cannot paint this")
            return real(images, masks, seeds)

    bad = np.asarray(Image.open(scenes / "images" / "0001.png").convert("RGB"))
    monkeypatch.setattr("flows.steps.remove_masked.load_remover", lambda *_, **__: Choking())
    summary = run(by_mask(scenes))
    assert summary.done == {"removed": 3, "failed": 1}
    assert rows(scenes.parent / "out", "failures.jsonl")["0001.png"]["reason"] == "cannot paint this"


def test_the_same_picture_under_two_names_gets_the_same_result(scenes):
    shutil.copy(scenes / "images" / "0000.png", scenes / "images" / "twin.png")
    shutil.copy(scenes / "masks" / "0000.png", scenes / "masks" / "twin.png")
    run(by_mask(scenes, method="auto", steps=2))
    out = scenes.parent / "out" / "images"
    assert np.abs(pixels(out / "0000.png") - pixels(out / "twin.png")).max() <= 1


def test_a_mask_corrected_by_hand_is_never_found_again_over_it(scenes):
    out = scenes.parent / "out"
    run(job(scenes), masks_only=True)
    corrected = np.zeros((128, 128), np.uint8)
    corrected[10:20, 10:20] = 255
    Image.fromarray(corrected).save(out / "masks" / "0001.png.png")
    assert run(job(scenes), masks_only=True).tried == 0
    os.utime(scenes / "images" / "0001.png", (1, 1))
    run(job(scenes))
    assert (pixels(out / "masks" / "0001.png.png")[..., 0] == corrected).all()
    assert rows(out)["0001.png"]["mask_area"] == pytest.approx(100 / 128**2, abs=1e-5)


def test_how_to_remove_may_be_chosen_after_the_masks_also_when_one_found_nothing(scenes):
    (scenes / "masks" / "0000.png").unlink()
    assert run(by_mask(scenes, seed=1), masks_only=True).done == {"masked": 3, "nothing found": 1}
    assert run(by_mask(scenes, seed=2)).done == {"removed": 3}
    assert {row["settings"] for row in rows(scenes.parent / "out").values() if row["status"] == "removed"} != {None}


def test_a_source_that_is_suddenly_empty_is_refused_and_forgets_nothing(scenes):
    run(by_mask(scenes))
    before = (scenes.parent / "out" / "metadata.jsonl").read_text()
    (scenes / "images").rename(scenes / "elsewhere")
    (scenes / "images").mkdir()
    with pytest.raises(UsageError, match="is it mounted"):
        run(by_mask(scenes))
    (scenes / "images").rmdir()
    (scenes / "elsewhere").rename(scenes / "images")
    assert run(by_mask(scenes)).tried == 0
    assert (scenes.parent / "out" / "metadata.jsonl").read_text() == before


def test_one_picture_of_a_folder_may_be_done_without_losing_the_rows_of_the_others(scenes):
    run(by_mask(scenes))
    one = by_mask(scenes).model_copy(update={"source": str(scenes / "images" / "0001.png")})
    assert run(one).tried == 0
    assert len(rows(scenes.parent / "out")) == 4


def test_a_picture_rewritten_while_the_run_goes_on_is_due_again(scenes):
    class Rewriting(Counting):
        def did(self, outcome):
            super().did(outcome)
            if outcome.source == "0000.png":
                shutil.copy(scenes / "truth" / "0000.png", scenes / "images" / "0000.png")
                shutil.copy(scenes / "truth" / "0003.png", scenes / "images" / "0003.png")

    run(by_mask(scenes), Rewriting())
    watch = Counting()
    run(by_mask(scenes), watch)
    assert "0000.png" in watch.done


def test_records_that_were_taken_away_come_back(scenes):
    run(by_mask(scenes))
    (scenes.parent / "out" / "failures.jsonl").unlink()
    assert run(by_mask(scenes)).tried == 0
    assert (scenes.parent / "out" / "failures.jsonl").exists()


def test_a_name_too_long_for_its_mask_fails_that_picture_alone(scenes):
    long = "x" * 250 + ".png"
    shutil.copy(scenes / "images" / "0000.png", scenes / "images" / long)
    summary = run(job(scenes, prompts="", masks=str(scenes / "masks" / "0000.png")))
    assert summary.done == {"removed": 4, "failed": 1}
    assert "too long" in rows(scenes.parent / "out", "failures.jsonl")[long]["reason"]


def test_names_of_odd_bytes_go_all_the_way(scenes):
    odd = os.fsdecode(b"caf\xe9 \xf0\x9f\x98\x80\n.png")
    shutil.copy(scenes / "images" / "0000.png", scenes / "images" / odd)
    masks = scenes / "masks \N{GRINNING FACE}"
    shutil.copytree(scenes / "masks", masks)
    shutil.copy(scenes / "masks" / "0000.png", masks / odd)
    assert run(job(scenes, prompts="", masks=str(masks))).done == {"removed": 5}
    assert odd in rows(scenes.parent / "out")
    assert run(job(scenes, prompts="", masks=str(masks))).tried == 0
    assert run(job(scenes, prompts="")).tried == 0


def test_a_target_that_cannot_be_written_stops_the_run_and_marks_no_picture(scenes):
    run(by_mask(scenes, limit=1))
    shutil.rmtree(scenes.parent / "out" / "images")
    (scenes.parent / "out" / "images").write_text("in the way")
    with pytest.raises(EnvironmentFault, match="cannot be"):
        run(by_mask(scenes))
    (scenes.parent / "out" / "images").unlink()
    assert run(by_mask(scenes)).done == {"removed": 4}


def test_a_picture_that_breaks_takes_its_old_result_with_it(scenes):
    run(by_mask(scenes, concat=True))
    (scenes / "images" / "0001.png").write_bytes(b"broken now")
    run(by_mask(scenes, concat=True))
    left = {str(p.relative_to(scenes.parent / "out")) for p in (scenes.parent / "out").rglob("0001*")}
    assert left == set()


def test_dry_run_writes_nothing(scenes):
    watch = Counting()
    whole_job.look(by_mask(scenes), watch)
    assert "4 pictures: 4 to do, 0 finished already" in watch.said
    assert not (scenes.parent / "out").exists()


def test_strips_show_original_mask_and_result(scenes):
    run(by_mask(scenes, concat=True))
    strip = pixels(scenes.parent / "out" / "strips" / "0000.png")
    assert strip.shape == (128, 3 * 128 + 8, 3)
    assert (strip[:, :128] == pixels(scenes / "images" / "0000.png")).all()
    assert (strip[:, -128:] == pixels(scenes.parent / "out" / "images" / "0000.png")).all()


def test_with_shadow_a_shadow_that_the_mask_would_not_reach_joins_it(tmp_path):
    """A dark band below a thing on a plain ground; the mask is given, and reaches 4 pixels farther."""
    (tmp_path / "in").mkdir()
    image, given = np.full((120, 160, 3), 150, np.uint8), np.zeros((120, 160), np.uint8)
    image[60:80, 60:100] = 90
    image[30:60, 50:90], given[30:60, 50:90] = (200, 30, 30), 255
    Image.fromarray(image).save(tmp_path / "in/a.png")
    Image.fromarray(given).save(tmp_path / "mask.png")
    settings = {"masks": str(tmp_path / "mask.png"), "model": "bundled", "method": "telea", "dilate": 4}
    masks = {}
    for shadow in (False, True):
        out = tmp_path / f"out{shadow}"
        run(Job(source=str(tmp_path / "in"), target=str(out), shadow=shadow, **settings))
        masks[shadow] = np.asarray(Image.open(out / "masks/a.png.png")) > 0
    band = np.s_[68:76, 64:86]
    assert not masks[False][band].any()
    assert masks[True][band].all()
    assert masks[True].sum() < 2.2 * masks[False].sum()


@pytest.mark.parametrize(
    ("said", "means"),
    [(True, "patchmatch"), (False, "none"), ("lama", "lama"), ("none", "none"), ("patchmatch", "patchmatch")],
)
def test_prefill_is_named_and_true_and_false_are_names_too(said, means):
    assert Job(prefill=said).prefill == means
