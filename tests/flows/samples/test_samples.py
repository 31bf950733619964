"""Sample scenes on disk."""

import json

import pytest
from PIL import Image

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


def test_scenes_are_drawn_at_the_size_that_is_asked_for(tmp_path):
    write_scenes(tmp_path, 2, 1, size=96)
    for part in ("images", "truth", "masks", "objects"):
        assert [Image.open(picture).size for picture in sorted((tmp_path / part).iterdir())] == [(96, 96)] * 2
    row = json.loads((tmp_path / "prompts.jsonl").read_text().splitlines()[0])
    x, y, label = row["points"][0]
    assert label == 1
    assert Image.open(tmp_path / "objects/0000.png").getpixel((x, y)) == 255


@pytest.mark.parametrize("size", [0, -128, 8, 100_000])
def test_scenes_of_no_possible_size_are_refused(tmp_path, size):
    with pytest.raises(ValueError, match=f"not {size}"):
        write_scenes(tmp_path, 1, 1, size=size)
    assert not list(tmp_path.iterdir())
