"""Links in a target: nothing is written, moved or removed through one, whenever it appears, by whatever verb."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.errors import EnvironmentFault, LedAway, Obstructed, UsageError
from flows.export.delivery import export
from flows.formats.encoding import encode_image
from flows.formats.mask_files import encode_mask
from flows.job import Job
from flows.merge import merge
from flows.places.disk import Disk
from flows.places.layout import FOLDERS
from flows.portions import Steps
from flows.review.decisions import Decision, apply
from flows.review.redo import redo
from flows.run import look, run
from flows.steps.remove_masked import remove_masked
from tests.flows.small import Following, delivered, image, mask, put, rows, small


def everything(place: Path) -> dict[str, bytes | str]:
    """All files and links below a folder."""
    found: dict[str, bytes | str] = {}
    for path in sorted(place.rglob("*")):
        if path.is_symlink():
            found[str(path)] = os.readlink(path)
        elif path.is_file():
            found[str(path)] = path.read_bytes()
    return found


def lead_away(path: Path, to: Path) -> None:
    """Move what is at a path to another place, and put a link to it there, as people do when a disk is full."""
    to.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        shutil.move(path, to)
    else:
        to.mkdir(exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(to)


@pytest.fixture
def done(tmp_path) -> Job:
    """A finished target with strips and one picture that was done again."""
    job = small(tmp_path, concat=True)
    run(job)
    apply(tmp_path / "out", [Decision("p00.png", "reject", "again")])
    redo(tmp_path / "out", frozenset({"rejected"}), {"dilate": 2})
    (tmp_path / "out/process").mkdir()
    return job


def under_one_mask(place: Path, *names: str, **settings) -> Job:
    """A job over pictures of these names, which may be such that a folder of masks could not hold theirs."""
    if not (place / "mask.png").exists():
        (place / "mask.png").write_bytes(encode_mask(mask()))
    for name in names:
        (place / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "in" / name).write_bytes(encode_image(image(len(name))))
    return small(place, pictures=0, masks=str(place / "mask.png"), **settings)


VERBS: dict[str, Callable[[Job, Path], object]] = {
    "run": lambda job, out: run(job),
    "look": lambda job, out: look(job, Following()),
    "masks": lambda job, out: run(job, masks_only=True),
    "overwrite": lambda job, out: run(job.model_copy(update={"existing": "overwrite"})),
    "prune": lambda job, out: run(job.model_copy(update={"prune": True})),
    "redo": lambda job, out: redo(out),
    "review --apply": lambda job, out: apply(out, [Decision("p01.png", "reject")]),
    "export": lambda job, out: export(out, out.parent / "dest"),
    "merge": lambda job, out: merge(out),
}


def test_originals_behind_a_link_in_a_new_target_stay(tmp_path):
    job = small(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/images").symlink_to("../in")
    before = everything(tmp_path)
    with pytest.raises(UsageError, match=r"images is a link to \.\./in, outside the target.*may be a link"):
        run(job.model_copy(update={"masks": "", "box": ["10,10,20,20"], "max_failures": "100%"}))
    assert everything(tmp_path) == before


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("place", FOLDERS)
def test_a_target_with_a_folder_that_is_a_link_out_of_it_is_refused_by_every_verb(done, tmp_path, verb, place):
    lead_away(tmp_path / "out" / place, tmp_path / "disk" / place)
    (tmp_path / "in/p03.png").unlink()
    if verb == "merge":
        (tmp_path / "out/.cleanplate/shards/1-of-2").mkdir(parents=True)
        shutil.copy(tmp_path / "out/job.toml", tmp_path / "out/.cleanplate/shards/1-of-2")
    before = everything(tmp_path)
    with pytest.raises(UsageError, match=f"{place} is a link to .*, outside the target"):
        VERBS[verb](done, tmp_path / "out")
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    "name", ["images/deep", "images/deep/er", "masks/p00.png.png", "images/p01.png", ".cleanplate/attempts/p00.png"]
)
@pytest.mark.parametrize("to", ["folder", "file.png", "nothing", "link"])
def test_a_link_anywhere_in_it_that_leads_out_is_refused_before_the_run(done, tmp_path, name, to):
    (tmp_path / "elsewhere/folder").mkdir(parents=True)
    (tmp_path / "elsewhere/folder/p00.png").write_bytes(b"precious")
    (tmp_path / "elsewhere/file.png").write_bytes(b"precious")
    (tmp_path / "elsewhere/link").symlink_to("link")  # to itself
    link = tmp_path / "out" / name
    shutil.rmtree(link, ignore_errors=True)
    link.unlink(missing_ok=True)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(tmp_path / "elsewhere" / to)
    put(tmp_path, "deep/er/p09.png")
    before = everything(tmp_path)
    for job in (done, done.model_copy(update={"existing": "overwrite", "prune": True})):
        with pytest.raises(UsageError, match="outside the target"):
            run(job)
    assert everything(tmp_path) == before


def test_the_target_itself_may_be_a_link(tmp_path):
    job = small(tmp_path)
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to("disk")
    assert run(job).done == {"removed": 4}
    assert (tmp_path / "out").is_symlink()
    apply(tmp_path / "out", [Decision("p00.png", "reject")])
    assert redo(tmp_path / "out", frozenset({"rejected"}), {"dilate": 2}).done == {"removed": 1}
    (tmp_path / "in/p03.png").unlink()
    assert run(job.model_copy(update={"prune": True})).tried == 0
    assert sorted(delivered(tmp_path / "disk")) == [
        f"{f}/p0{k}.png{s}" for f, s in (("images", ""), ("masks", ".png")) for k in range(3)
    ]


def test_links_that_stay_in_the_target_are_left_alone_and_not_written_through(tmp_path):
    job = small(tmp_path)
    put(tmp_path, "best/p09.png", 9)
    for name in ("images/train", "masks"):
        (tmp_path / "out" / name).mkdir(parents=True)
    (tmp_path / "out/images/best").symlink_to("train")
    (tmp_path / "out/images/copy.png").symlink_to("p00.png")
    assert run(job).done == {"removed": 4, "failed": 1}
    assert "images/best is a link, and nothing is written through one" in rows(job.target)["best/p09.png"]["reason"]
    assert os.listdir(tmp_path / "out/images/train") == []
    assert os.readlink(tmp_path / "out/images/copy.png") == "p00.png"


@pytest.mark.parametrize("place", ["images", "masks", ".cleanplate/pending", ".cleanplate/report"])
def test_a_link_that_appears_while_a_run_goes_on_ends_it_and_nothing_happens_behind_it(tmp_path, place):
    job = small(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    for name in ("p00.png", "p00.png.png"):
        (tmp_path / "elsewhere" / name).write_bytes(b"precious")

    def remove(job: Job, masked: list) -> Iterator:
        if (tmp_path / "out" / place).exists():
            (tmp_path / "out" / place).rename(tmp_path / "moved")
        (tmp_path / "out" / place).symlink_to(tmp_path / "elsewhere")
        yield from remove_masked(job, masked)

    before = everything(tmp_path / "elsewhere")
    with pytest.raises(EnvironmentFault, match=r"leads outside the target.*then run the same command"):
        run(job, steps=Steps(remove=remove))
    assert everything(tmp_path / "elsewhere") == before
    (tmp_path / "out" / place).unlink()
    run(job)
    assert {row["status"] for row in rows(job.target).values()} == {"removed"}
    assert len(delivered(job.target)) == 8


def test_a_run_whose_ledger_is_led_away_ends_and_files_of_its_name_behind_the_link_stay(tmp_path):
    job, private = small(tmp_path), tmp_path / "out/.cleanplate"
    (tmp_path / "elsewhere").mkdir()
    for ending in ("", "-wal", "-shm", "-journal"):
        (tmp_path / "elsewhere" / f"manifest.sqlite{ending}").write_bytes(b"precious")
    (tmp_path / "elsewhere/lock").write_bytes(b"precious")

    def remove(job: Job, masked: list) -> Iterator:
        if not private.is_symlink():
            private.rename(tmp_path / "moved")
            private.symlink_to(tmp_path / "elsewhere")
        yield from remove_masked(job, masked)

    before = everything(tmp_path / "elsewhere")
    with pytest.raises(EnvironmentFault, match=r"moved or removed while the run went on.*run the same command again"):
        run(job, steps=Steps(remove=remove))
    assert everything(tmp_path / "elsewhere") == before
    private.unlink()
    (tmp_path / "moved").rename(private)
    run(job)
    assert {row["status"] for row in rows(job.target).values()} == {"removed"}


@pytest.mark.parametrize("place", ["images", "images/deep"])
def test_no_primitive_follows_a_link_on_the_way_or_at_its_end(tmp_path, place):
    disk, precious = Disk(tmp_path / "out"), tmp_path / "elsewhere/a.png"
    for name in ("elsewhere", "elsewhere/folder", "out/images"):
        (tmp_path / name).mkdir(parents=True)
    precious.write_bytes(b"precious")
    disk.write("other.png", b"x")
    (tmp_path / "source.png").write_bytes(b"x")
    if place == "images":
        (tmp_path / "out/images").rmdir()
    (tmp_path / "out" / place).symlink_to(tmp_path / "elsewhere")
    for act in (
        lambda: disk.write(f"{place}/a.png", b"x"),
        lambda: disk.write(f"{place}/new/a.png", b"x"),
        lambda: disk.bring(tmp_path / "source.png", f"{place}/a.png"),
        lambda: disk.move("other.png", f"{place}/a.png"),
        lambda: disk.move(f"{place}/a.png", "other.png"),
    ):
        with pytest.raises(LedAway):
            act()
    disk.remove(f"{place}/a.png")
    disk.clear(f"{place}/folder")
    disk.clear(place)
    disk.sweep()
    disk.remove_empty_folders(f"{place}/folder/x.png")
    assert sorted(os.listdir(tmp_path / "elsewhere")) == ["a.png", "folder"]
    assert precious.read_bytes() == b"precious"
    assert disk.read("other.png") == b"x"
    disk.remove(place)  # the link itself
    assert precious.exists()
    assert not (tmp_path / "out" / place).is_symlink()


def test_a_hard_link_in_the_place_of_a_result_is_replaced_not_written_through(done, tmp_path):
    shutil.copytree(tmp_path / "out", tmp_path / "backup", copy_function=os.link)
    before = everything(tmp_path / "backup")
    put(tmp_path, "p04.png", 4)
    run(done.model_copy(update={"existing": "overwrite"}))
    apply(tmp_path / "out", [Decision("p01.png", "accept")])
    assert rows(tmp_path / "out")["p01.png"]["review"] == "accept"
    assert everything(tmp_path / "backup") == before


def test_a_result_that_is_a_hard_link_to_its_original_leaves_the_original_as_it_was(tmp_path):
    job = small(tmp_path)
    shutil.copytree(tmp_path / "in", tmp_path / "out/images", copy_function=os.link)
    before = everything(tmp_path / "in")
    assert run(job).done == {"removed": 4}
    assert everything(tmp_path / "in") == before


def test_a_file_is_moved_to_a_folder_that_is_a_mount_of_its_own(tmp_path, monkeypatch):
    disk, replace = Disk(tmp_path), os.replace
    disk.write("pending/a.png", b"mask")
    os.utime(tmp_path / "pending/a.png", ns=(5, 5))

    def on_one_file_system(name, new, *, src_dir_fd, dst_dir_fd):
        if os.fstat(src_dir_fd).st_ino != os.fstat(dst_dir_fd).st_ino:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        replace(name, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "replace", on_one_file_system)
    disk.move("pending/a.png", "masks/a.png")
    assert disk.read("masks/a.png") == b"mask"
    assert disk.stat("masks/a.png") == (4, 5)
    assert [*disk.below("")] == ["masks/a.png"]


def test_a_file_in_the_place_of_a_folder_is_refused_before_the_run(tmp_path):
    job = small(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/masks").write_bytes(b"mine")
    with pytest.raises(EnvironmentFault, match="masks cannot be written to: it is a file, and a folder belongs there"):
        run(job)
    assert everything(tmp_path / "out") == {str(tmp_path / "out/masks"): b"mine"}
    (tmp_path / "out/masks").unlink()
    (tmp_path / "out/report.html").mkdir()
    with pytest.raises(
        EnvironmentFault, match=r"report\.html cannot be written: it is a folder, and a file belongs there"
    ):
        run(job)
    assert os.listdir(tmp_path / "out") == ["report.html"]


@pytest.mark.parametrize("settings", [{}, {"format": "jpeg"}, {"concat": True}])
@pytest.mark.parametrize("folder", ["p00.png.png", "p00.jpg", "deep/p00.png.png"])
def test_a_folder_named_like_a_file_of_a_picture_costs_that_picture_alone(tmp_path, folder, settings):
    job = under_one_mask(tmp_path, "p00.png", "deep/p00.png", f"{folder}/p09.png", **settings)
    conflict = ["p00.png"] if folder == "p00.png.png" or (folder == "p00.jpg" and "format" in settings) else []
    conflict = ["deep/p00.png"] if folder.startswith("deep") else conflict
    summary = run(job)
    assert summary.exit_code == bool(conflict)
    there = rows(job.target)
    assert [name for name, row in there.items() if row["status"] == "failed"] == conflict
    assert len(there) == 4  # with the folder, which is called like a picture
    if conflict:
        assert "would collide with the folder" in there[conflict[0]]["reason"]
    assert run(job).tried == 0
    assert rows(job.target) == there


@pytest.mark.parametrize("first", ["picture", "folder"])
def test_what_an_earlier_run_left_in_the_way_costs_one_picture_until_it_is_pruned(tmp_path, first):
    names = ["p00.png", "p00.png.png/p01.png"]
    one, other = names if first == "picture" else reversed(names)
    job = under_one_mask(tmp_path, one, "q.png")
    run(job)
    shutil.rmtree(tmp_path / "in" / one.split("/")[0]) if "/" in one else (tmp_path / "in" / one).unlink()
    under_one_mask(tmp_path, other)
    assert run(job).done == {"failed": 1}
    assert "belongs there" in rows(job.target)[other]["reason"]
    run(job.model_copy(update={"prune": True}))
    redo(tmp_path / "out", frozenset({"failed"}))
    found = rows(job.target)
    assert (found[other]["status"], found["q.png"]["status"]) == ("removed", "removed")


def test_an_obstacle_is_named_where_a_file_is_written(tmp_path):
    disk = Disk(tmp_path)
    disk.write("a", b"x")
    disk.write("b/c", b"x")
    with pytest.raises(Obstructed, match="a is a file, and a folder belongs there"):
        disk.write("a/b.png", b"x")
    with pytest.raises(Obstructed, match="b is a folder, and a file belongs there"):
        disk.write("b", b"x")
    disk.remove("b")
    disk.remove("a/b.png")
    assert sorted(disk.below("")) == ["a", "b/c"]
