"""Names in, whole files out or none."""

import os

import pytest

from flows.errors import EnvironmentFault, UsageError
from flows.formats.encoding import encode_image
from flows.formats.mask_files import encode_mask
from flows.places.folders import open_folders
from flows.run import look, run
from tests.flows.small import Following, image, mask, rows, small


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "in").mkdir()
    return open_folders(str(tmp_path / "in"), str(tmp_path / "out"))


def test_names_mirror_the_tree_and_leave_other_files_alone(folders):
    for name in ("b.JPG", "a.png", "deep/er/a.png", "deep/a.webp", "a.txt", ".hidden.png", ".git/x.png"):
        (folders.source.root / name).parent.mkdir(parents=True, exist_ok=True)
        (folders.source.root / name).write_bytes(b"x")
    assert folders.names() == ["a.png", "b.JPG", "deep/a.webp", "deep/er/a.png"]


def test_links_folders_and_devices_with_a_pictures_name_are_no_pictures(folders, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"x")
    (folders.source.root / "link.png").symlink_to(tmp_path / "secret.png")
    (folders.source.root / "loop").symlink_to(folders.source.root)
    (folders.source.root / "dir.jpg").mkdir()
    os.mkfifo(folders.source.root / "pipe.jpg")
    assert folders.names() == []


def test_awkward_names_are_names_like_any_other(folders):
    names = ["a b.png", "quote'\".png", "new\nline.png", "\N{CAT FACE}.png", "x" * 251 + ".png"]
    for name in names:
        (folders.source.root / name).write_bytes(b"x")
    raw = os.fsencode(folders.source.root) + b"/caf\xe9.png"
    with open(raw, "wb") as file:
        file.write(b"x")
    assert sorted(folders.names()) == sorted([*names, os.fsdecode(b"caf\xe9.png")])
    for name in folders.names():
        assert folders.source.read(name) == b"x"


def test_a_single_picture_is_a_folder_of_one(tmp_path):
    (tmp_path / "one.png").write_bytes(b"x")
    (tmp_path / "two.png").write_bytes(b"x")
    assert open_folders(str(tmp_path / "one.png"), str(tmp_path / "out")).names() == ["one.png"]


@pytest.mark.parametrize("target", ["in", "in/out", "."])
def test_a_target_in_over_or_equal_to_the_source_is_refused(tmp_path, target):
    (tmp_path / "in").mkdir()
    with pytest.raises(ValueError, match="overlap"):
        open_folders(str(tmp_path / "in"), str(tmp_path / target))


@pytest.mark.parametrize("variable", ["CLEANPLATE_CACHE", "XDG_CACHE_HOME"])
@pytest.mark.parametrize("place", ["in", "in/deep", "out", "out/cache"])
def test_a_cache_in_the_source_or_the_target_is_refused_and_nothing_is_touched(tmp_path, monkeypatch, place, variable):
    """What is compiled is code, and a target is handed on."""
    job = small(tmp_path, 1)
    monkeypatch.delenv("CLEANPLATE_CACHE")
    monkeypatch.setenv(variable, str(tmp_path / place))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=r"the cache .* lies in the (source|target) .*; set CLEANPLATE_CACHE"):
        run(job)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_cache_beside_a_target_or_a_single_picture_is_none_in_it(tmp_path, monkeypatch):
    (tmp_path / "one.png").write_bytes(b"x")
    monkeypatch.setenv("CLEANPLATE_CACHE", str(tmp_path / "out-cache"))
    assert open_folders(str(tmp_path / "one.png"), str(tmp_path / "out")).names() == ["one.png"]


def test_a_source_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no folder or picture"):
        open_folders(str(tmp_path / "nowhere"), str(tmp_path / "out"))


def test_a_failed_write_leaves_neither_file_nor_part(folders, monkeypatch):
    def fail(*_, **__):
        raise OSError("no")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(EnvironmentFault, match="cannot be written: no"):
        folders.target.write("images/a.png", b"data")
    assert [p for p in folders.target.root.rglob("*") if p.is_file()] == []


def test_a_failed_write_leaves_the_earlier_file_as_it_was(folders, monkeypatch):
    folders.target.write("images/a.png", b"first")

    def fail(*_, **__):
        raise OSError("no")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(EnvironmentFault, match="cannot be written: no"):
        folders.target.write("images/a.png", b"second")
    assert folders.target.path("images/a.png").read_bytes() == b"first"


@pytest.mark.parametrize("name", ["../x.png", "/etc/x.png", "a/../../x.png"])
def test_nothing_is_written_outside_the_target(folders, name):
    with pytest.raises(ValueError, match="outside the target"):
        folders.target.write(name, b"x")


def test_nothing_is_written_through_a_link_in_the_target(folders, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    folders.target.root.mkdir()
    (folders.target.root / "images").symlink_to(tmp_path / "elsewhere")
    for name in ("images/a.png", "images/b/a.png"):
        with pytest.raises(ValueError, match="outside the target"):
            folders.target.write(name, b"x")
    assert os.listdir(tmp_path / "elsewhere") == []


def test_a_link_in_the_place_of_a_picture_is_replaced_not_followed(folders, tmp_path):
    (tmp_path / "precious.png").write_bytes(b"precious")
    (folders.target.root / "images").mkdir(parents=True)
    (folders.target.root / "images" / "a.png").symlink_to(tmp_path / "precious.png")
    folders.target.write("images/a.png", b"x")
    assert (tmp_path / "precious.png").read_bytes() == b"precious"
    assert not folders.target.path("images/a.png").is_symlink()


def test_a_folder_is_cleared_with_all_that_is_in_it_and_nothing_beside_it(folders):
    for name in ("attempts/a.png/1.png", "attempts/a.png/b/1.png", "attempts/c.png/1.png"):
        folders.target.write(name, b"x")
    folders.target.clear("attempts/a.png")
    folders.target.clear("attempts/a.png")
    folders.target.clear(f"attempts/{'x' * 300}")  # no such name can be there
    assert [path.name for path in folders.target.path("attempts").iterdir()] == ["c.png"]


@pytest.mark.parametrize("link", ["attempts", "attempts/a.png"])
def test_nothing_is_cleared_through_a_link(folders, tmp_path, link):
    (tmp_path / "elsewhere" / "a.png").mkdir(parents=True)
    (tmp_path / "elsewhere" / "a.png" / "precious").touch()
    folders.target.path(link).parent.mkdir(parents=True)
    folders.target.path(link).symlink_to(
        tmp_path / "elsewhere" if link == "attempts" else tmp_path / "elsewhere" / "a.png"
    )
    folders.target.clear("attempts/a.png")
    assert (tmp_path / "elsewhere" / "a.png" / "precious").exists()


def test_published_files_are_as_readable_as_any_other(folders, tmp_path):
    folders.target.write("images/a.png", b"x")
    (tmp_path / "plain").write_bytes(b"x")
    assert folders.target.path("images/a.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_machines_put_into_folders_is_left_out(folders):
    for name in ("a.jpe", "b.MPO", "x/@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "#recycle/b.jpg", "__MACOSX/c.png"):
        (folders.source.root / name).parent.mkdir(parents=True, exist_ok=True)
        (folders.source.root / name).write_bytes(b"x")
    assert folders.names() == ["a.jpe", "b.MPO"]


def test_files_that_are_not_read_are_counted_and_said_by_suffix(tmp_path):
    job = small(tmp_path, 1)
    for name in ("1.CR2", "deep/2.cr2", "3.dng", "notes.txt", "p00.json", ".hidden.tga", "@eaDir/4.raf"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"x")
    for work in (look, run):
        watch = Following()
        work(job, watch)
        assert [said for said in watch.said if "not read" in said] == [
            "files that are not read: 2 .cr2, 1 .dng; convert them to TIFF, PNG or JPEG first"
        ]


def test_a_folder_of_nothing_but_such_files_is_refused_and_not_called_done(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.nef").write_bytes(b"x")
    job = small(tmp_path, 0, text=["red ball"], masks="")
    for work in (look, run):
        with pytest.raises(UsageError, match=r"there is no picture, but files that are not read: 1 \.nef"):
            work(job, Following())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a.jpe", "a.mpo"])
def test_a_jpeg_by_another_suffix_is_cleaned_as_a_jpeg(tmp_path, name):
    job = small(tmp_path, 0)
    for place, data in (("in", encode_image(image(), "JPEG")), ("masks", encode_mask(mask()))):
        (tmp_path / place).mkdir()
        (tmp_path / place / (name if place == "in" else f"{name}.png")).write_bytes(data)
    run(job)
    assert rows(job.target)[name]["status"] == "removed"
    assert (tmp_path / "out/images" / name).read_bytes().startswith(b"\xff\xd8\xff")
