"""COCO in and out: what annotations cover is removed, and a copy tells what is left."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as reference
from pycocotools.coco import COCO

from flows.annotations.coco import read_coco
from flows.annotations.runs import mask_of_runs
from flows.errors import UsageError
from flows.export.datasets import write_coco
from flows.export.delivery import export
from flows.formats.encoding import encode_image
from flows.formats.mask_files import decode_mask
from flows.job import Job
from flows.run import run

HEIGHT, WIDTH = 40, 60
ELLIPSE = [30 + 12 * np.cos(t) if k == 0 else 20 + 9 * np.sin(t) for t in np.linspace(0, 6, 25) for k in (0, 1)]
BLOB = np.zeros((HEIGHT, WIDTH), bool)
BLOB[5:14, 40:55] = True
BLOB[8, 42:44] = False


def packed(mask: np.ndarray) -> dict[str, Any]:
    runs = reference.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(runs["size"]), "counts": runs["counts"].decode()}


def plain(mask: np.ndarray) -> dict[str, Any]:
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(int)))
    counts = (
        np.diff(np.concatenate([[0], edges, [flat.size]])) if not flat[-1] else np.diff(np.concatenate([[0], edges]))
    )
    return {"size": [*mask.shape], "counts": counts.tolist()}


def annotation(number: int, image: int, category: int, segmentation: Any, **more: Any) -> dict[str, Any]:
    box = [10, 10, 8, 6]
    return {"id": number, "image_id": image, "category_id": category, "segmentation": segmentation, "bbox": box,
            "area": 48, "iscrowd": int(isinstance(segmentation, dict)), **more}  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three pictures, one in a folder, and annotations of persons and a dog."""
    folder = tmp_path / "in"
    images = []
    for number, name in ((7, "a.png"), (3, "deep/b.png"), (9, "c.png")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        (folder / name).write_bytes(encode_image(noise))
        images.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT, "license": 4})
    whole = {
        "info": {"year": 2026}, "licenses": [{"id": 4, "name": "CC"}], "images": images,
        "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}, {"id": 5, "name": "tree"}],
        "annotations": [
            annotation(100, 7, 1, [ELLIPSE], note="kept as it is"),
            annotation(40, 7, 18, [[2, 2, 8, 2, 8, 8]]),
            annotation(7, 7, 1, packed(BLOB)),
            annotation(12, 3, 1, plain(BLOB)),
            annotation(13, 9, 5, [[2, 2, 8, 2, 8, 8]]),
        ],
    }  # fmt: skip
    (tmp_path / "instances.json").write_text(json.dumps(whole))
    return folder


def cleaned(source: Path, **settings: Any) -> Path:
    target = source.parent / "out"
    where = {"source": str(source), "target": str(target), "coco": str(source.parent / "instances.json")}
    run(Job(**where, **{"category": ["person"], "method": "telea", **settings}))
    return target


def statuses(target: Path) -> dict[str, str]:
    rows = [json.loads(line) for name in ("metadata", "failures") for line in (target / f"{name}.jsonl").open()]
    return {row["source"]: row["status"] for row in rows}


def test_what_the_annotations_of_a_category_cover_is_removed_and_nothing_else(source):
    target = cleaned(source)
    assert statuses(target) == {"a.png": "removed", "deep/b.png": "removed", "c.png": "nothing found"}
    polygon = reference.decode(reference.merge(reference.frPyObjects([ELLIPSE], HEIGHT, WIDTH))).astype(bool)
    mask = decode_mask((target / "masks/a.png.png").read_bytes())
    assert (mask | ~(polygon | BLOB)).all()
    assert not (mask & ~_grown(polygon | BLOB)).any()
    assert (decode_mask((target / "masks/deep/b.png.png").read_bytes()) == BLOB).all()


def _grown(mask: np.ndarray) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)


def test_several_categories_add_up(source):
    assert cleaned(source, category=["dog", "tree"])
    assert statuses(source.parent / "out") == {"a.png": "removed", "deep/b.png": "nothing found", "c.png": "removed"}


def test_what_was_removed_is_gone_from_the_copy_and_all_else_is_as_it_was(source):
    before = json.loads((source.parent / "instances.json").read_text())
    file = write_coco(cleaned(source), source.parent / "export")
    after = json.loads(file.read_text())
    assert [one["id"] for one in after["annotations"]] == [40, 13]
    assert after["annotations"] == [one for one in before["annotations"] if one["id"] in (40, 13)]
    assert {key: after[key] for key in before if key != "annotations"} == {
        key: before[key] for key in before if key != "annotations"
    }
    with contextlib.redirect_stdout(io.StringIO()):
        read = COCO(str(file))
    assert sorted(read.getAnnIds(imgIds=[7])) == [40]
    assert read.annToMask(read.loadAnns([40])[0]).any()


def test_export_gives_the_copy_along_with_the_pictures(source):
    target, dest = cleaned(source), source.parent / "given"
    assert export(target, dest, coco=True) == 3
    after = json.loads((dest / "instances.json").read_text())
    assert [one["id"] for one in after["annotations"]] == [40, 13]
    assert all((dest / "images" / image["file_name"]).exists() for image in after["images"])


def test_pictures_that_failed_are_not_in_the_copy_and_converted_ones_have_their_new_name(source):
    (source / "c.png").write_bytes(b"no picture")
    file = write_coco(cleaned(source, format="webp", max_failures=5), source.parent / "export")
    after = json.loads(file.read_text())
    assert [image["file_name"] for image in after["images"]] == ["a.webp", "deep/b.webp"]
    assert [one["id"] for one in after["annotations"]] == [40]


def test_a_target_not_made_from_coco_says_so(source):
    target = source.parent / "other"
    run(Job(source=str(source), target=str(target), masks=str(source / "a.png"), method="telea", max_failures=5))
    with pytest.raises(UsageError, match="not made from a COCO file"):
        write_coco(target, source.parent / "export")


def test_an_unknown_category_is_refused_with_those_that_there_are(source):
    with pytest.raises(ValueError, match=r"no category 'persn'; did you mean 'person'.*person, dog, tree"):
        cleaned(source, category=["persn"])
    with pytest.raises(ValueError, match=r"say which category to remove.*person, dog, tree"):
        cleaned(source, category=[])
    assert not (source.parent / "out").exists()


def test_other_annotations_make_only_their_pictures_due_again(source):
    target = cleaned(source)
    file = source.parent / "instances.json"
    whole = json.loads(file.read_text())
    whole["annotations"].append(annotation(500, 9, 1, [[1, 1, 9, 1, 9, 9]]))
    file.write_text(json.dumps(whole))
    job = Job(source=str(source), target=str(target), coco=str(file), category=["person"], method="telea")
    assert run(job).done == {"removed": 1}


def test_an_annotation_without_an_outline_covers_its_box(source):
    file = source.parent / "instances.json"
    whole = json.loads(file.read_text())
    whole["annotations"] = [annotation(1, 7, 1, [])]
    file.write_text(json.dumps(whole))
    mask, _ = read_coco(file, ["person"]).regions["a.png"].mask(WIDTH, HEIGHT)
    assert (mask[10:16, 10:18]).all()
    assert mask.sum() <= 9 * 7


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"size": [HEIGHT, WIDTH], "counts": [3, 500000]}, "runs do not add up to"),
        ({"size": [HEIGHT, WIDTH], "counts": "zzPP\\"}, "runs do not add up to"),
        ({"size": [400000, 400000], "counts": "01"}, "is not"),
        ({"size": [HEIGHT, WIDTH], "counts": [2**63 - 1, 2**63 - 1, HEIGHT * WIDTH + 2]}, "runs do not add up to"),
        ({"size": [HEIGHT, WIDTH], "counts": [-1, HEIGHT * WIDTH + 1]}, "runs do not add up to"),
        ({"size": [HEIGHT, WIDTH], "counts": [True, HEIGHT * WIDTH - 1]}, "runs do not add up to"),
        ({"size": [HEIGHT, WIDTH], "counts": None}, "runs do not add up to"),
        ({"size": [HEIGHT, WIDTH], "counts": "o" * 100_000}, "numbers beyond any picture"),
        ({"size": [HEIGHT, WIDTH], "counts": "é"}, "runs do not add up to"),
        ({"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]}, "cover no pixel"),
        ({"counts": [1]}, "size of its runs, None"),
        ("polygon", "not polygons or runs"),
        ([[1, 1, 3]], "a polygon is a list of numbers"),
        ([[1, 1, 3, 3]], "three corners"),
        ([[1, 1, 3, 3, 5, 5, 2, 2]], "is flat"),
        ([[-9, -9, -3, -9, -3, -3]], "lies outside"),
        ([[float("nan")] * 6], "a polygon is a list of numbers"),
        ([[1e300, 0, 5, 5, 0, 9]], "a polygon is a list of numbers"),
        ([["x"] * 6], "a polygon is a list of numbers"),
        ([None], "a polygon is a list of numbers"),
    ],
)
def test_a_wrong_annotation_fails_its_own_picture_and_is_named(source, wrong, said):
    file = source.parent / "instances.json"
    whole = json.loads(file.read_text())
    whole["annotations"][3]["segmentation"] = wrong
    file.write_text(json.dumps(whole))
    target = cleaned(source, max_failures=5)
    assert statuses(target) == {"a.png": "removed", "deep/b.png": "failed", "c.png": "nothing found"}
    reason = json.loads((target / "failures.jsonl").read_text())["reason"]
    assert "annotation 12" in reason
    assert said in reason


@pytest.mark.parametrize(
    "text", ["", "[]", '{"images": 3}', '{"images": [{"id": 1}]}', '{"images": [], "annotations": []}']
)
def test_what_is_no_coco_file_is_refused(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match="is not a COCO file"):
        read_coco(tmp_path / "x.json", ["person"])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.randoms(use_true_random=False))
def test_runs_are_read_as_pycocotools_reads_them(height, width, random):
    mask = np.array([[random.random() < 0.5 for _ in range(width)] for _ in range(height)])
    assert (mask_of_runs(packed(mask), height, width) == mask).all()
    assert (mask_of_runs(plain(mask), height, width) == mask).all()


def test_names_that_windows_wrote_are_found(source):
    file = source.parent / "instances.json"
    file.write_text(file.read_text().replace("deep/b.png", r"deep\\b.png"))
    assert statuses(cleaned(source))["deep/b.png"] == "removed"


def rewritten(source: Path, change: Any) -> Path:
    """The COCO file of a source after `change` was done to it."""
    file = source.parent / "instances.json"
    whole = json.loads(file.read_text())
    change(whole)
    file.write_text(json.dumps(whole))
    return file


def refused(source: Path, **settings: Any) -> str:
    """What a job says that is refused before anything is touched."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the caller looks at what it says
        cleaned(source, **settings)
    assert not (source.parent / "out").exists()
    return str(caught.value)


def test_two_entries_of_one_file_add_up_as_merged_data_sets_have_them(source):
    rewritten(source, lambda whole: (
        whole["images"].append({"id": 70, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}),
        whole["annotations"].append(annotation(900, 70, 1, [[1, 30, 9, 30, 9, 38, 1, 38]])),
    ))  # fmt: skip
    target = cleaned(source)
    mask = decode_mask((target / "masks/a.png.png").read_bytes())
    assert mask[34, 5]
    assert mask[20, 30]
    after = json.loads(write_coco(target, source.parent / "export").read_text())
    assert [one["id"] for one in after["annotations"]] == [40, 13]


def test_all_categories_of_one_name_count(source):
    rewritten(source, lambda whole: whole["categories"].append({"id": 30, "name": "person"}))
    rewritten(source, lambda whole: whole["annotations"][4].update(category_id=30))
    target = cleaned(source)
    assert set(statuses(target).values()) == {"removed"}
    after = json.loads(write_coco(target, source.parent / "export").read_text())
    assert [one["id"] for one in after["annotations"]] == [40]


@pytest.mark.parametrize("kind", [str, float])
def test_ids_are_the_same_as_text_and_as_floats(source, kind):
    rewritten(source, lambda whole: [one.update(image_id=kind(one["image_id"])) for one in whole["annotations"]])
    rewritten(source, lambda whole: [one.update(id=kind(one["id"])) for one in whole["categories"]])
    target = cleaned(source)
    assert statuses(target) == {"a.png": "removed", "deep/b.png": "removed", "c.png": "nothing found"}
    after = json.loads(write_coco(target, source.parent / "export").read_text())
    assert [one["id"] for one in after["annotations"]] == [40, 13]


def test_sizes_may_be_floats_as_pandas_writes_them(source):
    rewritten(source, lambda whole: [one.update(width=float(WIDTH), height=float(HEIGHT)) for one in whole["images"]])
    rewritten(source, lambda whole: whole["annotations"][3]["segmentation"].update(size=[float(HEIGHT), float(WIDTH)]))
    assert statuses(cleaned(source))["deep/b.png"] == "removed"


def test_a_panoptic_file_is_refused_by_its_name(source):
    rewritten(source, lambda whole: whole.update(annotations=[
        {"image_id": 7, "file_name": "a.png", "segments_info": [{"id": 3, "category_id": 1, "bbox": [0, 0, 9, 9]}]}
    ]))  # fmt: skip
    assert "panoptic" in refused(source)


def test_annotations_that_belong_to_no_picture_are_said(source):
    from tests.flows.small import Following

    rewritten(source, lambda whole: whole["annotations"][3].update(image_id=333))
    watch = Following()
    job = {"source": str(source), "target": str(source.parent / "out"), "coco": str(source.parent / "instances.json")}
    run(Job(**job, category=["person"], method="telea"), watch)
    assert any("of 3 annotations of person, 1 belong to no picture" in said and "333" in said for said in watch.said)


def test_a_file_none_of_whose_annotations_match_is_refused(source):
    rewritten(source, lambda whole: [one.update(image_id=99) for one in whole["annotations"]])
    assert "no annotation of person in any picture; 3 belong to no picture" in refused(source)
    rewritten(source, lambda whole: whole.update(annotations=[]))
    assert "no annotation of person" in refused(source)


def test_a_file_none_of_whose_pictures_are_there_is_refused_with_a_name_of_each_side(source):
    rewritten(source, lambda whole: [one.update(file_name=f"other-{one['id']}.png") for one in whole["images"]])
    said = refused(source)
    assert "other-7.png" in said
    assert "a.png" in said


@pytest.mark.parametrize(
    "prefix",
    ["images/", "/data/upload/1/", "C:\\x\\", "https://host/", "../../data/local-files/?d=x%2F", "0badf00d-"],
)
def test_a_name_that_ends_as_one_pictures_path_does_is_that_picture(source, prefix):
    rewritten(source, lambda whole: [one.update(file_name=prefix + one["file_name"]) for one in whole["images"]])
    if prefix == "0badf00d-":  # as Label Studio calls what was uploaded
        rewritten(source, lambda whole: whole["images"][1].update(file_name="deep/0badf00d-b.png"))
    target = cleaned(source)
    assert statuses(target) == {"a.png": "removed", "deep/b.png": "removed", "c.png": "nothing found"}
    after = json.loads(write_coco(target, source.parent / "export").read_text())
    assert [one["id"] for one in after["annotations"]] == [40, 13]


def test_the_name_alone_is_the_one_picture_that_is_called_so(source):
    rewritten(source, lambda whole: whole["images"][1].update(file_name="b.png"))
    assert statuses(cleaned(source))["deep/b.png"] == "removed"


def test_a_name_that_ends_as_two_pictures_do_is_neither(source):
    (source / "other").mkdir()
    (source / "other/b.png").write_bytes((source / "deep/b.png").read_bytes())
    rewritten(source, lambda whole: whole["images"][1].update(file_name="b.png"))
    found = statuses(cleaned(source))
    assert found["deep/b.png"] == found["other/b.png"] == "nothing found"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda whole: whole["images"][1].pop("id"), r"images\[1\] \(file_name 'deep/b.png'\) has no id"),
        (lambda whole: whole["images"][1].update(id=None), r"images\[1\].* has no id"),
        (lambda whole: whole["images"][1].update(id=True), r"images\[1\].* has no id"),
        (lambda whole: whole["images"][1].update(id=2.5), r"images\[1\].* has no id"),
        (lambda whole: whole["images"][1].update(file_name=7), r"images\[1\].* has no file_name"),
        (lambda whole: whole["images"][1].update(width=True), r"images\[1\].* has a width of True"),
        (lambda whole: whole["images"][1].update(width=60.5), r"images\[1\].* has a width of 60.5"),
        (lambda whole: whole["images"][1].update(height=10**30), r"images\[1\].* has a height of 1000"),
        (lambda whole: whole["images"][1].update(height=float("inf")), r"images\[1\].* has a height of inf"),
        (lambda whole: whole["images"][1].update(height=float("nan")), r"images\[1\].* has a height of nan"),
        (lambda whole: whole["images"][1].update(height=-4), r"images\[1\].* has a height of -4"),
        (lambda whole: whole["images"][1].update(id=7), r"two pictures have the id 7: 'a.png' and 'deep/b.png'"),
        (lambda whole: whole["images"].append("x"), r"images\[3\] is not an object"),
        (lambda whole: whole["categories"][1].pop("name"), r"categories\[1\] \(id 18\) has no name"),
        (lambda whole: whole["categories"][1].pop("id"), r"categories\[1\] \(name 'dog'\) has no id"),
        (lambda whole: whole["categories"][1].update(id=1), r"two categories have the id 1"),
        (lambda whole: whole["annotations"][2].pop("image_id"), r"annotations\[2\] \(id 7\) has no image_id"),
        (
            lambda whole: whole["annotations"][2].update(category_id=[1]),
            r"annotations\[2\] \(id 7\) has no cat",
        ),
        (lambda whole: whole.pop("categories"), "no list of categories"),
    ],
)
def test_a_wrong_record_is_named_and_nothing_is_touched(source, change, said):
    import re

    rewritten(source, change)
    assert re.search(said, refused(source))


@pytest.mark.parametrize(
    "piece", [[5, 5, 9, 9], [], [5, 5, 9, 9, 13, 13], [200, 200, 210, 200, 210, 210], [3, 3, 3, 3, 3, 3]]
)
def test_a_piece_without_an_area_is_left_out_beside_good_ones_and_said(source, piece):
    rewritten(source, lambda whole: whole["annotations"][0]["segmentation"].append(piece))
    target = cleaned(source)
    row = next(row for line in (target / "metadata.jsonl").open() if (row := json.loads(line))["source"] == "a.png")
    assert row["status"] == "removed"
    assert "annotation 100" in row["reason"]
    assert "left out" in row["reason"]


@pytest.mark.parametrize("box", [None, [], [10, 10, 0, 5], [10, 10, 5, -5]])
def test_an_annotation_with_neither_outline_nor_box_is_left_out_beside_good_ones(source, box):
    rewritten(source, lambda whole: whole["annotations"].append(annotation(77, 7, 1, None) | {"bbox": box}))
    rewritten(source, lambda whole: whole["annotations"].append(annotation(78, 3, 1, []) | {"bbox": box}))
    rewritten(source, lambda whole: whole["annotations"].pop(3))
    target = cleaned(source, max_failures=5)
    assert statuses(target) == {"a.png": "removed", "deep/b.png": "failed", "c.png": "nothing found"}
    assert "annotation 78" in json.loads((target / "failures.jsonl").read_text())["reason"]


def test_a_polygon_may_stand_without_brackets_of_its_own(source):
    rewritten(source, lambda whole: whole["annotations"][3].update(segmentation=[2, 2, 12, 2, 12, 12, 2, 12]))
    mask = decode_mask((cleaned(source) / "masks/deep/b.png.png").read_bytes())
    assert mask[7, 7]


def test_sizes_that_are_swapped_fail_their_picture_in_plain_words(source):
    rewritten(source, lambda whole: whole["images"][1].update(width=HEIGHT, height=WIDTH))
    target = cleaned(source, max_failures=5)
    assert statuses(target)["deep/b.png"] == "failed"
    reason = json.loads((target / "failures.jsonl").read_text())["reason"]
    assert "the file says 40×60 pixels, the upright picture has 60×40" in reason


def test_sizes_that_are_absurd_cost_no_memory(source):
    rewritten(source, lambda whole: whole["images"][1].update(width=999_999, height=999_999))
    assert statuses(cleaned(source, max_failures=5))["deep/b.png"] == "failed"
