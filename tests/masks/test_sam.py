"""Points and boxes to masks, on scenes that the bundled SAM has not seen."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
import torch

from masks import BoxPrompt, PointPrompt, sam
from masks.segmenters import BUNDLED


@pytest.fixture(scope="module")
def segment():
    return sam.load(str(BUNDLED / "sam"), "cpu")


def iou(found: np.ndarray, wanted: np.ndarray) -> float:
    return (found & wanted).sum() / (found | wanted).sum()


def points_of(scene, label: int = 1, away: bool = False) -> tuple[int, int, int]:
    """A point on the target of a scene, or the one farthest from every object of it."""
    if not away:
        return (*scene.point, label)
    import cv2

    free = cv2.distanceTransform((~np.logical_or.reduce(scene.objects)).astype(np.uint8), cv2.DIST_L2, 5)
    y, x = np.unravel_index(int(free.argmax()), free.shape)
    return int(x), int(y), label


def test_a_point_finds_the_object_under_it(segment, scenes):
    found = segment([s.image for s in scenes], [PointPrompt((s.point,)) for s in scenes])
    assert np.mean([iou(f.mask, s.object) for f, s in zip(found, scenes, strict=True)]) >= 0.75


def test_a_box_finds_the_object_in_it(segment, scenes):
    found = segment([s.image for s in scenes], [BoxPrompt(sam.outline(s.object)) for s in scenes])
    assert np.mean([iou(f.mask, s.object) for f, s in zip(found, scenes, strict=True)]) >= 0.75


def test_a_find_says_how_sure_it_is_and_where_it_lies(segment, scenes):
    for found in segment([s.image for s in scenes], [PointPrompt((s.point,)) for s in scenes]):
        assert 0 < found.score <= 1
        assert found.boxes == (sam.outline(found.mask),)


def test_a_background_point_is_not_taken_for_another_point_on_the_object(segment, scenes):
    """Two points on two things find other pixels than one on the object and one beside it, which finds the object."""
    images = [s.image for s in scenes]
    beside = [PointPrompt((points_of(s), points_of(s, 0, away=True))) for s in scenes]
    on_both = [PointPrompt((points_of(s), points_of(s, 1, away=True))) for s in scenes]
    apart = [iou(f.mask, s.object) for f, s in zip(segment(images, beside), scenes, strict=True)]
    joined = [iou(f.mask, s.object) for f, s in zip(segment(images, on_both), scenes, strict=True)]
    assert np.mean(apart) >= 0.75
    assert np.mean(joined) < np.mean(apart) - 0.05


def test_a_point_means_the_middle_of_its_pixel_and_a_box_its_edges(segment, scenes, monkeypatch):
    asked = {}
    predict = segment.predictor.predict
    monkeypatch.setattr(segment.predictor, "predict", lambda **given: asked.update(given) or predict(**given))
    segment([scenes[0].image] * 2, [PointPrompt(((40, 50, 1), (9, 8, 0))), BoxPrompt((10, 20, 60, 70))])
    assert asked["point_coords"].tolist() == [[40.5, 50.5], [9.5, 8.5]]
    assert asked["point_labels"].tolist() == [1, 0]
    assert asked["box"].tolist() == [10, 20, 60, 70]


def test_several_prompts_encode_their_image_once(segment, scenes, monkeypatch):
    encoded = []
    encode = segment.predictor.set_image
    monkeypatch.setattr(segment.predictor, "set_image", lambda image: (encoded.append(1), encode(image)))
    one, other = scenes[0], scenes[1]
    prompts = [PointPrompt((one.point,)), BoxPrompt(sam.outline(one.object)), PointPrompt((other.point,))]
    segment([one.image, one.image, other.image], prompts)
    assert len(encoded) == 2


@pytest.mark.parametrize("point", [(128, 5), (-1, 5), (5, 128), (5, -0.5), (float("nan"), 5)])
def test_a_point_outside_the_picture_is_refused_with_its_coordinates(segment, scenes, point):
    x, y = point
    with pytest.raises(ValueError, match=f"point {x:g},{y:g} lies outside the picture of 128×128 pixels"):
        segment([scenes[0].image], [PointPrompt(((5, 5, 1), point))])


def test_the_last_pixel_is_inside_the_picture(segment, scenes):
    assert segment([scenes[0].image], [PointPrompt(((127, 127, 1),))])[0].mask.shape == (128, 128)


@pytest.mark.parametrize("box", [(128, 0, 140, 20), (0, 130, 20, 140), (-20, 0, -1, 20), (0, -9, 20, 0)])
def test_a_box_outside_the_picture_is_refused(segment, scenes, box):
    with pytest.raises(ValueError, match="lies outside the picture of 128×128"):
        segment([scenes[0].image], [BoxPrompt(box)])


def test_the_mask_of_several_boxes_is_their_union_and_boxes_beside_the_picture_add_nothing(segment, scenes):
    image, boxes = scenes[0].image, [sam.outline(o) for o in (scenes[0].object, scenes[0].objects[0])]
    boxes += [(-5.0, 10.0, 60.0, 200.0)]
    single = segment([image] * 3, [BoxPrompt(box) for box in (*boxes[:2], (0.0, 10.0, 60.0, 128.0))])
    together = segment.boxes(image, [*boxes, (200.0, 0.0, 220.0, 20.0)])
    assert (together == np.logical_or.reduce([f.mask for f in single])).all()


def test_no_boxes_are_an_empty_mask_of_the_pictures_size(segment, scenes):
    empty = segment.boxes(scenes[0].image, [])
    assert (empty.shape, empty.dtype, empty.any()) == ((128, 128), bool, False)


# Weights -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "size"), [(768, "vit_b"), (1024, "vit_l"), (1280, "vit_h")])
def test_a_file_is_known_by_its_shapes_whatever_its_name(tmp_path, monkeypatch, width, size):
    import segment_anything

    built = []
    monkeypatch.setitem(segment_anything.sam_model_registry, size, lambda: built.append(size) or Stub())
    torch.save({"image_encoder.pos_embed": torch.zeros(1, 64, 64, width)}, tmp_path / "vit_x.pth")
    sam.load(str(tmp_path / "vit_x.pth"), "cpu")
    assert built == [size]


class Stub(torch.nn.Module):
    """Takes any weights and has what SamPredictor asks of a SAM when it is made."""

    def __init__(self):
        super().__init__()
        self.image_encoder = torch.nn.Identity()
        self.image_encoder.img_size = 64

    def load_state_dict(self, state):
        assert state.keys() == {"image_encoder.pos_embed"}


def test_a_file_of_the_smallest_published_size_loads_and_segments(tmp_path, monkeypatch):
    from segment_anything import sam_model_registry

    torch.save(
        {name: value.half() for name, value in sam_model_registry["vit_b"]().state_dict().items()},
        tmp_path / "mine.pth",
    )
    loaded = sam.load(str(tmp_path / "mine.pth"), "cpu")
    (tmp_path / "mine.pth").unlink()
    weights = list(loaded.predictor.model.parameters())
    assert sum(w.numel() for w in weights) > 90_000_000
    assert {w.dtype for w in weights} == {torch.float32}


class Bomb:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize(
    ("save", "trust"),
    [
        (torch.save, lambda file: torch.load(file, weights_only=False)),
        (lambda state, file: file.write_bytes(pickle.dumps(state, 2)), lambda file: pickle.loads(file.read_bytes())),  # noqa: S301
    ],
)
def test_code_hidden_in_a_weights_file_is_refused_and_not_run(tmp_path, save, trust):
    file = tmp_path / "evil.pth"
    save({"image_encoder.pos_embed": Bomb(tmp_path / "ran")}, file)
    with pytest.raises(ValueError, match=r"evil\.pth is broken or holds more than weights"):
        sam.load(str(file), "cpu")
    assert not (tmp_path / "ran").exists()
    trust(file)  # the bomb is live: a reader that trusts the file runs it
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 half a file"])
def test_a_broken_weights_file_is_refused_by_its_name(tmp_path, content):
    (tmp_path / "broken.pth").write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.pth"):
        sam.load(str(tmp_path / "broken.pth"), "cpu")


@pytest.mark.parametrize("state", [{"weight": torch.zeros(3)}, {"model": {"a": torch.zeros(3)}}, [torch.zeros(3)]])
def test_a_file_without_a_sam_is_refused_by_its_name(tmp_path, state):
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth holds no Segment Anything model"):
        sam.load(str(tmp_path / "other.pth"), "cpu")


def test_weights_that_are_not_there_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.pth"):
        sam.load(str(tmp_path / "gone.pth"), "cpu")


@pytest.mark.parametrize("size", ["vit_b", "vit_l", "vit_h"])
def test_offline_a_missing_published_size_names_its_file_and_where_it_comes_from(
    tmp_path, monkeypatch, size, no_network
):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    file = tmp_path / "checkpoints" / sam.PUBLISHED[size]
    with pytest.raises(FileNotFoundError) as error:
        sam.load(size, "cpu", offline=True)
    assert str(file) in str(error.value)
    assert sam.URL + file.name in str(error.value)


def test_a_published_size_that_was_fetched_is_not_fetched_again(tmp_path, monkeypatch, no_network):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    file = tmp_path / "checkpoints" / sam.PUBLISHED["vit_l"]
    file.parent.mkdir()
    file.write_bytes(b"here")
    assert sam.fetch("vit_l", offline=False) == file


def test_a_download_is_checked_against_the_digits_in_its_name(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *args, **more: asked.append((*args, more)))
    file = sam.fetch("vit_h", offline=False)
    assert asked == [(sam.URL + "sam_vit_h_4b8939.pth", str(file), {"hash_prefix": "4b8939"})]


def test_an_unknown_size_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match=r"unknown SAM size 'vit_x'; there are vit_b, vit_l, vit_h"):
        sam.load("vit_x", "cpu", offline=True)
