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

from flows.coco import read_coco
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
    mask = read_coco(file, ["person"])["a.png"].mask()
    assert (mask[10:16, 10:18]).all()
    assert mask.sum() <= 9 * 7


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"size": [HEIGHT, WIDTH], "counts": [3, 500000]}, "runs do not make up"),
        ({"size": [HEIGHT, WIDTH], "counts": "zzPP\\"}, "runs do not make up"),
        ({"size": [400000, 400000], "counts": "01"}, "is not"),
        ([[1, 1, 3]], "cannot reshape"),
        ([[1, 1, 3, 3]], "three corners"),
        ([[float("nan")] * 6], "three corners"),
        ([["x"] * 6], "could not convert"),
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
    from flows.coco import _of_runs

    assert (_of_runs(packed(mask), height, width) == mask).all()
    assert (_of_runs(plain(mask), height, width) == mask).all()


def test_names_that_windows_wrote_are_found(source):
    file = source.parent / "instances.json"
    file.write_text(file.read_text().replace("deep/b.png", r"deep\\b.png"))
    assert statuses(cleaned(source))["deep/b.png"] == "removed"
