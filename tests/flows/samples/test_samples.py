"""Sample scenes on disk."""

import pytest

from flows.samples.scenes import write_scenes


def test_scenes_need_a_count_and_a_seed_that_was_never_trained_on(tmp_path):
    with pytest.raises(ValueError, match="seed 0 to"):
        write_scenes(tmp_path, 1, 1 << 20)
    with pytest.raises(ValueError, match="count is 1 or more"):
        write_scenes(tmp_path, 0, 1)


def test_a_shorter_series_leaves_nothing_of_a_longer_one(tmp_path):
    write_scenes(tmp_path, 3, 1)
    write_scenes(tmp_path, 1, 1)
    assert [p.name for p in sorted(tmp_path.rglob("*.png"))] == ["0000.png"] * 4


def test_scenes_never_replace_or_remove_somebodys_pictures(tmp_path):
    for place in ("images", "holiday"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "0007.png").write_bytes(b"precious")
    with pytest.raises(ValueError, match="is not a scene drawn here"):
        write_scenes(tmp_path, 2, 1)
    (tmp_path / "images" / "0007.png").unlink()
    write_scenes(tmp_path, 2, 1)
    assert (tmp_path / "holiday" / "0007.png").read_bytes() == b"precious"
