"""What a second run does again: masks corrected by hand, deleted outputs, interrupted overwriting, older targets."""

import json
import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from flows import run as whole_job
from flows.formats.encoding import encode_image
from flows.formats.mask_files import encode_mask
from flows.formats.pictures import decode
from flows.job import Job
from flows.ledger.lock import Busy
from flows.ledger.manifest import Manifest
from flows.ledger.tables import LEDGER
from flows.ledger.target_settings import OtherSettings
from flows.outcome import digest
from flows.run import run
from flows.steps.ladder import ladder
from tests.flows.small import HEIGHT, WIDTH, Following, delivered, image, mask, mask_in, put, rows, small

CORRECTED = mask(2, 2, 4, 4)


def correct(target: str, name: str, by: np.ndarray = CORRECTED) -> None:
    (Path(target) / "masks" / f"{name}.png").write_bytes(encode_mask(by))


def done_by(job: Job, **options) -> list[str]:
    following = Following()
    run(job, following, **options)
    return following.done


def changed(job: Job, name: str) -> np.ndarray:
    """Which pixels of a result are not the source's, H×W bool."""
    before, after = (decode((Path(place) / name).read_bytes()).image for place in (job.source, f"{job.target}/images"))
    return (before != after).any(axis=2)


def test_a_mask_corrected_by_hand_after_the_run_makes_its_picture_due_again_under_that_mask(tmp_path):
    job = small(tmp_path)
    run(job)
    correct(job.target, "p01.png")
    assert done_by(job) == ["p01.png"]
    assert (mask_in(job.target, "p01.png") == CORRECTED).all()
    assert not changed(job, "p01.png")[~CORRECTED].any()
    row = rows(job.target)["p01.png"]
    assert (row["segmenter"], row["dilate"]) == ("by hand", 0)
    assert "made by hand" in row["reason"]
    assert row["mask_area"] == pytest.approx(CORRECTED.mean(), abs=1e-6)
    assert done_by(job) == []


def test_a_mask_corrected_between_masks_and_run_is_said_in_the_row(tmp_path):
    job = small(tmp_path)
    run(job, masks_only=True)
    correct(job.target, "p01.png")
    run(job)
    said = {name: row["segmenter"] for name, row in rows(job.target).items()}
    assert said == {"p00.png": "given", "p01.png": "by hand", "p02.png": "given", "p03.png": "given"}


def test_a_mask_drawn_where_nothing_was_found_is_used(tmp_path):
    job = small(tmp_path)
    (tmp_path / "masks" / "p02.png.png").unlink()
    run(job)
    assert rows(job.target)["p02.png"]["status"] == "nothing found"
    correct(job.target, "p02.png")
    assert done_by(job) == ["p02.png"]
    assert rows(job.target)["p02.png"]["status"] == "removed"
    assert changed(job, "p02.png")[CORRECTED].any()


def test_a_mask_that_was_only_touched_is_the_same_mask(tmp_path):
    job = small(tmp_path)
    run(job)
    os.utime(Path(job.target) / "masks" / "p01.png.png", (1, 1))
    assert done_by(job) == []


def test_a_mask_corrected_while_the_run_goes_on_is_noticed_by_the_next(tmp_path):
    class Correcting(Following):
        def did(self, outcome):
            super().did(outcome)
            correct(job.target, outcome.source)

    job = small(tmp_path, 2)
    run(job)
    run(job.model_copy(update={"existing": "overwrite"}), Correcting())
    assert done_by(job) == ["p00.png", "p01.png"]
    assert done_by(job) == []


@pytest.mark.parametrize("again", ["output deleted", "picture touched", "overwritten with another seed"])
def test_a_mask_made_by_hand_is_never_found_again_over_it(tmp_path, again):
    job = small(tmp_path)
    run(job)
    correct(job.target, "p01.png")
    run(job)
    if again == "output deleted":
        (Path(job.target) / "images" / "p01.png").unlink()
    elif again == "picture touched":
        os.utime(Path(job.source) / "p01.png", (1, 1))
        (Path(job.target) / "images" / "p01.png").unlink()
    else:
        job = job.model_copy(update={"seed": 5, "existing": "overwrite"})
    assert "p01.png" in done_by(job)
    assert (mask_in(job.target, "p01.png") == CORRECTED).all()
    assert rows(job.target)["p01.png"]["segmenter"] == "by hand"


def test_a_mask_that_was_deleted_is_found_again(tmp_path):
    job = small(tmp_path)
    run(job)
    correct(job.target, "p01.png")
    run(job)
    (Path(job.target) / "masks" / "p01.png.png").unlink()
    assert done_by(job) == ["p01.png"]
    assert rows(job.target)["p01.png"]["segmenter"] == "given"
    assert (mask_in(job.target, "p01.png") == mask()).all()


def test_a_mask_emptied_by_hand_gives_the_picture_back(tmp_path):
    job = small(tmp_path)
    run(job)
    correct(job.target, "p01.png", mask() & False)
    assert done_by(job) == ["p01.png"]
    assert rows(job.target)["p01.png"]["status"] == "nothing found"
    assert not changed(job, "p01.png").any()
    assert done_by(job) == []


def test_a_mask_emptied_by_hand_stays_so_also_when_overwritten_and_is_found_again_once_deleted(tmp_path):
    job = small(tmp_path)
    run(job)
    correct(job.target, "p01.png", mask() & False)
    run(job)
    assert rows(job.target)["p01.png"]["mask_area"] == 0
    again = job.model_copy(update={"existing": "overwrite", "seed": 5})
    assert "p01.png" in done_by(again)
    row = rows(job.target)["p01.png"]
    assert (row["status"], row["segmenter"], row["mask_file_name"]) == ("nothing found", "by hand", "masks/p01.png.png")
    assert not mask_in(job.target, "p01.png").any()
    assert not changed(job, "p01.png").any()
    kept = job.model_copy(update={"seed": 5})
    assert done_by(kept) == []
    correct(job.target, "p01.png")
    assert done_by(kept) == ["p01.png"]
    assert rows(job.target)["p01.png"]["status"] == "removed"
    correct(job.target, "p01.png", mask() & False)
    run(kept)
    (Path(job.target) / "masks" / "p01.png.png").unlink()
    assert done_by(kept) == ["p01.png"]
    assert rows(job.target)["p01.png"]["segmenter"] == "given"


def test_another_picture_under_the_same_name_gets_a_mask_of_its_own(tmp_path):
    job = small(tmp_path)
    run(job)
    correct(job.target, "p01.png")
    run(job)
    (Path(job.source) / "p01.png").unlink()
    put(tmp_path, "p01.png", number=77)
    assert done_by(job) == ["p01.png"]
    assert (mask_in(job.target, "p01.png") == mask()).all()


class Stopping(Following):
    """Is interrupted after so many pictures."""

    def __init__(self, after: int):
        super().__init__()
        self.after = after

    def did(self, outcome):
        super().did(outcome)
        if len(self.done) == self.after:
            raise KeyboardInterrupt


@pytest.mark.parametrize("seed", [0, 3])
def test_an_interrupted_overwrite_goes_on_where_it_stopped(tmp_path, seed):
    job = small(tmp_path)
    run(job)
    again = job.model_copy(update={"existing": "overwrite", "seed": seed})
    with pytest.raises(KeyboardInterrupt):
        run(again, Stopping(3))
    assert done_by(again) == ["p03.png"]
    assert done_by(again) == ["p00.png", "p01.png", "p02.png", "p03.png"]  # it was through; this is another one


def test_an_overwrite_with_a_limit_goes_on_with_the_rest(tmp_path):
    job = small(tmp_path)
    run(job)
    some = job.model_copy(update={"existing": "overwrite", "limit": 2})
    first, rest = ["p00.png", "p01.png"], ["p02.png", "p03.png"]
    assert [done_by(some), done_by(some), done_by(some)] == [first, rest, first]


def test_an_interrupted_overwrite_with_other_settings_may_be_ended_by_a_plain_run_with_these(tmp_path):
    job = small(tmp_path)
    run(job)
    with pytest.raises(KeyboardInterrupt):
        run(job.model_copy(update={"existing": "overwrite", "seed": 3}), Stopping(1))
    assert done_by(job.model_copy(update={"seed": 3})) == ["p01.png", "p02.png", "p03.png"]


def test_a_target_made_before_a_setting_existed_stands_while_that_has_its_default(tmp_path):
    job = small(tmp_path)
    run(job)
    forget(job, "seed", "fill_holes")
    assert done_by(job) == []
    forget(job, "seed")
    with pytest.raises(OtherSettings, match="seed: 0 then, 4 now"):
        run(job.model_copy(update={"seed": 4}))


def forget(job: Job, *fields: str) -> None:
    """Make a target what it would be, had it been made before these settings existed."""
    older = {key: value for key, value in job.settings.items() if key not in fields}
    with sqlite3.connect(Path(job.target) / LEDGER) as file:
        file.execute("update facts set value = ? where key = 'job'", (json.dumps(older),))
        file.execute("update pictures set settings = ?", (digest(older),))


def test_a_target_of_the_first_version_is_finished_and_gets_the_columns_that_came_later(tmp_path):
    job = small(tmp_path)
    run(job)
    with sqlite3.connect(Path(job.target) / LEDGER) as file:
        for column in ("mask_size", "mask_mtime", "mask_sha", "round"):
            file.execute(f"alter table pictures drop column {column}")
        file.execute("drop table flights")
    assert done_by(job) == []
    put(tmp_path, "new.png", 9)
    assert done_by(job) == ["new.png"]


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(file): (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("state", ["finished", "killed"])
def test_a_look_writes_nothing_and_sees_what_a_run_would_do(tmp_path, state):
    job = small(tmp_path)
    run(job)
    put(tmp_path, "new.png", 9)
    os.utime(Path(job.source) / "p01.png", (1, 1))
    if state == "killed":  # its last rows are in the log of the ledger alone
        kept = sqlite3.connect(Path(job.target) / LEDGER)
        kept.execute("pragma wal_autocheckpoint = 0")
        with kept:
            kept.execute("delete from pictures where name = ?", (b"p02.png",))
    before, following = everything(Path(job.target)), Following()
    whole_job.look(job, following)
    assert everything(Path(job.target)) == before
    waiting = 2 if state == "killed" else 1
    assert f"5 pictures: {waiting} to do, {5 - waiting} finished already" in following.said


def test_a_look_refuses_what_a_run_would_refuse(tmp_path):
    job = small(tmp_path)
    run(job)
    with pytest.raises(OtherSettings, match="seed: 0 then, 3 now"):
        whole_job.look(job.model_copy(update={"seed": 3}), Following())
    with pytest.raises(ValueError, match="4 finished pictures"):
        whole_job.look(job.model_copy(update={"existing": "error"}), Following())
    with Manifest(Path(job.target)), pytest.raises(Busy, match="another run"):
        whole_job.look(job, Following())


def test_a_grown_mask_whose_row_was_not_committed_is_forgotten(tmp_path, monkeypatch):
    """The ladder's last mask is published with its row: a run that dies between leaves the first one."""
    job = small(tmp_path, 2)
    run(job, masks_only=True)
    before = delivered(job.target)

    def dies(*_):
        raise MemoryError("as good as killed")

    monkeypatch.setattr("flows.steps.remove_masked.climb", climb_to_a_grown_mask)
    with monkeypatch.context() as dying:
        dying.setattr(Manifest, "record", dies)
        with pytest.raises(MemoryError):
            run(job)
    assert {name: sha for name, sha in delivered(job.target).items() if name.startswith("masks/")} == before
    monkeypatch.undo()
    run(job)
    assert {name: sha for name, sha in delivered(job.target).items() if name.startswith("masks/")} == before
    assert {row["segmenter"] for row in rows(job.target).values()} == {"given"}


def test_a_grown_mask_whose_row_was_committed_takes_its_place_in_the_next_run(tmp_path, monkeypatch):
    job = small(tmp_path, 2)
    from flows.places.target import Target

    def dies(*_):
        raise MemoryError("as good as killed")

    monkeypatch.setattr("flows.steps.remove_masked.climb", climb_to_a_grown_mask)
    with monkeypatch.context() as dying:
        dying.setattr(Target, "move", dies)
        with pytest.raises(MemoryError):
            run(job)
    monkeypatch.undo()
    run(job)
    for name in ("p00.png", "p01.png"):
        assert mask_in(job.target, name).sum() > mask().sum()
        assert (changed(job, name) <= mask_in(job.target, name)).all()


def climb_to_a_grown_mask(job, folder, ready, ways):
    """As if every picture had been doubtful until its mask was grown."""
    from flows.steps.attempts import Attempt, Trial

    third = [*ladder(job, next(iter(ways)).remover)][1]
    trials = []
    for first in ready:
        wider = third.widen(first)
        [result] = third.remover([first.picture.image], [wider.mask], [0])
        trials.append(Trial(first, wider, Attempt(2, third, wider, 0, result), made=2))
    return trials


def test_a_file_that_is_not_ours_is_not_swept(tmp_path):
    job = small(tmp_path)
    (tmp_path / "out" / "images").mkdir(parents=True)
    ours = tmp_path / "out" / "images" / ".cleanplate-abcd_123.part"
    others = [tmp_path / "out" / "images" / name for name in (".other.part", "x.part", ".cleanplate-notes.part.txt")]
    outside = tmp_path / ".cleanplate-abcd_123.part"
    for file in (ours, outside, *others):
        file.write_bytes(b"half")
    (tmp_path / "out" / "elsewhere").symlink_to(tmp_path)
    run(job)
    assert not ours.exists()
    assert all(file.exists() for file in (outside, *others))
    assert (image() == decode((tmp_path / "in" / "p00.png").read_bytes()).image).all()


def test_more_pixels_and_more_time_may_be_given_to_a_target_that_is_there_and_only_what_failed_is_done(tmp_path):
    """As the reason of a picture that was too large, and the last words of a run that hung, advise."""
    job = small(tmp_path, max_failures="100%")
    put(tmp_path, "large.png")
    (tmp_path / "in" / "large.png").write_bytes(encode_image(np.repeat(image(), 2, axis=0)))
    (tmp_path / "masks" / "large.png.png").write_bytes(encode_mask(np.repeat(mask(), 2, axis=0)))
    few = HEIGHT * WIDTH
    assert run(job.model_copy(update={"max_pixels": few, "hang_timeout": 60})).done == {"removed": 4, "failed": 1}
    assert f"--max-pixels {2 * few}" in rows(job.target)["large.png"]["reason"]
    assert run(job.model_copy(update={"max_pixels": few, "hang_timeout": 90})).tried == 0
    assert run(job.model_copy(update={"max_pixels": 2 * few, "hang_timeout": 0})).done == {"removed": 1}
    assert run(job).tried == 0
