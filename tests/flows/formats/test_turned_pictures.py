"""Pictures that are stored turned, as every phone stores portraits: seen upright, written as they were stored."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from flows.export.datasets import write_pairs, write_parquet
from flows.formats import heic
from flows.formats.encoding import changed, encode_image
from flows.formats.exif import saying
from flows.formats.mask_files import decode_mask, encode_mask
from flows.formats.orientation import STEPS, stored, stored_box, upright
from flows.formats.pictures import decode, orientation_of
from flows.job import Job
from flows.places.target import Target
from flows.run import run
from flows.samples.comparison import compare
from flows.steps import thumbnails
from removal.bundled.scenes import scene as drawn_scene
from tests.flows.small import rows

HEIGHT, WIDTH = 36, 52
HOLE = np.zeros((HEIGHT, WIDTH), bool)
HOLE[5:15, 30:44] = True
SUFFIXES = {".jpg": {"quality": 92}, ".png": {}, ".tif": {}, ".webp": {"lossless": True, "exact": True}}
CONTAINERS = {".jpg": "JPEG", ".png": "PNG", ".tif": "TIFF", ".webp": "WEBP"}
NAMES = {f"{turn}{suffix}": turn for suffix in SUFFIXES for turn in STEPS}


def scene() -> np.ndarray:
    """A soft picture in which every corner has a colour of its own, and the hole another."""
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH]
    image = np.dstack([4 * across, 6 * down, 2 * (across + down)]).astype(np.uint8)
    image[HOLE] = (250, 20, 30)
    return image


def put(file: Path, turn: int, image: np.ndarray | None = None) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = turn, "Maker"
    picture = Image.fromarray(np.ascontiguousarray(stored(scene() if image is None else image, turn)))
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file, CONTAINERS[file.suffix], exif=exif.tobytes(), **SUFFIXES[file.suffix])


def raw(file: Path) -> np.ndarray:
    """The pixels as they are stored; Pillow alone turns those of a TIFF."""
    if file.suffix == ".tif":
        return cv2.imdecode(
            np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        )
    return np.asarray(Image.open(file))


def seen(file: Path) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(Image.open(file)))


def job(place: Path, **settings: Any) -> Job:
    given = {"source": str(place / "in"), "target": str(place / "out"), "method": "telea", "verify": False}
    masks = {} if {"text", "coco"} & {*settings} else {"masks": str(place / "mask.png")}
    return Job(**{**given, **masks, **settings})


@pytest.fixture(scope="module")
def cleaned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("turned")
    for name, turn in NAMES.items():
        put(place / "in" / name, turn)
    (place / "mask.png").write_bytes(encode_mask(HOLE))  # without a tag: upright
    run(job(place))
    return place


@pytest.mark.parametrize("turn", STEPS)
def test_what_stores_a_picture_and_what_shows_it_undo_each_other(turn):
    image = scene()
    assert (upright(stored(image, turn), turn) == image).all()
    exif = Image.Exif()
    exif[0x0112] = turn
    by_pillow = Image.fromarray(np.ascontiguousarray(stored(image, turn)))
    by_pillow.info["exif"] = exif.tobytes()
    assert (np.asarray(ImageOps.exif_transpose(by_pillow)) == image).all()
    left, top, right, bottom = stored_box((30, 5, 44, 15), image.shape, turn)
    assert (stored(image, turn)[top:bottom, left:right] == (250, 20, 30)).all()


@pytest.mark.parametrize("name", NAMES)
def test_only_the_hole_changes_and_picture_and_tag_stay_as_they_were_stored(cleaned, name):
    row = rows(cleaned / "out")[name]
    before, after = cleaned / "in" / name, cleaned / "out" / "images" / name
    assert (row["status"], row["width"], row["height"]) == ("removed", WIDTH, HEIGHT)
    assert row["outside_max_diff"] == 0
    assert (seen(after)[HOLE].astype(int)[:, 0] < 240).mean() > 0.9
    assert raw(after).shape == raw(before).shape
    opened = Image.open(after)
    assert (opened.getexif()[0x0112], opened.getexif()[0x010F]) == (NAMES[name], "Maker")
    far = stored(cv2.dilate(HOLE.astype(np.uint8), np.ones((49, 49))) == 0, NAMES[name])
    if name.endswith(".tif"):
        assert (decode(after.read_bytes()).image == decode(before.read_bytes()).image)[~HOLE].all()
    else:
        assert (raw(after) == raw(before))[far if name.endswith(".jpg") else ~stored(HOLE, NAMES[name])].all()


@pytest.mark.parametrize("name", NAMES)
def test_its_mask_is_stored_as_it_is_with_the_same_tag_for_readers_that_mind_it_and_others(cleaned, name):
    mask = cleaned / "out" / "masks" / f"{name}.png"
    assert (np.asarray(Image.open(mask)) == stored(HOLE, NAMES[name]) * 255).all()
    assert (seen(mask) == HOLE * 255).all()
    assert Image.open(mask).getexif().get(0x0112, 1) == NAMES[name]
    assert (cv2.imread(str(mask), cv2.IMREAD_UNCHANGED) == stored(HOLE, NAMES[name]) * 255).all()


def test_a_second_run_does_nothing(cleaned):
    assert run(job(cleaned)).done.total() == 0


def test_the_review_page_shows_them_upright(cleaned):
    found = thumbnails.find(Target.existing(cleaned / "out"))
    for row in rows(cleaned / "out").values():
        shown = thumbnails.of(found, row)
        assert shown is not None
        before = np.asarray(Image.open(cleaned / "out" / shown.paths["before"])).astype(int)
        left, top, right, bottom = shown.window
        assert np.abs(before - scene()[top:bottom, left:right]).mean() < 9, row["source"]


def test_pairs_for_training_lie_on_each_other_as_datasets_loads_them(cleaned, tmp_path):
    import datasets

    datasets.disable_progress_bars()
    write_pairs(cleaned / "out", tmp_path / "pairs")
    for one in datasets.load_dataset(str(tmp_path / "pairs"), cache_dir=str(tmp_path / "cache"))["train"]:
        before, mask, after = (
            np.asarray(one[column].convert("RGB")).astype(int) for column in ("input", "mask", "output")
        )
        assert before.shape == mask.shape == after.shape == (HEIGHT, WIDTH, 3)
        assert (mask[..., 0] > 127).tolist() == HOLE.tolist()
        assert np.abs(before - after)[HOLE].mean() > 20


def test_in_parquet_files_a_picture_and_its_mask_lie_on_each_other_upright(cleaned, tmp_path):
    import datasets

    datasets.disable_progress_bars()
    write_parquet(cleaned / "out", tmp_path / "parquet")
    files = str(tmp_path / "parquet/*.parquet")
    loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))["train"]
    assert {one["source"] for one in loaded} == {*NAMES}
    for one in loaded:
        shown = np.asarray(one["image"].convert("RGB")).astype(int)
        assert shown.shape == (HEIGHT, WIDTH, 3)
        assert (np.asarray(one["mask"]) == HOLE * 255).all()
        assert np.abs(shown - scene())[HOLE].mean() > 20
        assert np.abs(shown - scene())[~cv2.dilate(HOLE.astype(np.uint8), np.ones((49, 49))).astype(bool)].mean() < 9


def test_the_strip_of_a_turned_picture_is_upright_as_a_comparison_is(tmp_path):
    for turn in (6, 7):
        put(tmp_path / "in" / f"{turn}.jpg", turn)
    (tmp_path / "mask.png").write_bytes(encode_mask(HOLE))
    run(job(tmp_path, concat=True))
    compare(job(tmp_path, target=str(tmp_path / "side")), ["telea"], lambda _: None)
    for turn in (6, 7):
        strip = np.asarray(Image.open(tmp_path / f"out/strips/{turn}.jpg").convert("RGB")).astype(int)
        side = np.asarray(Image.open(tmp_path / f"side/{turn}.jpg.png").convert("RGB")).astype(int)
        for drawn, apart in ((strip, (strip.shape[1] - WIDTH) // 2), (side, side.shape[1] // 3)):
            original, mask, result = (drawn[:HEIGHT, k * apart : k * apart + WIDTH] for k in range(3))
            assert np.abs(original - scene()).mean() < 9
            assert ((mask[..., 0] > 128) == HOLE).mean() > 0.98
            assert np.abs(result - scene())[HOLE].mean() > 20


def test_the_target_itself_loads_upright_with_its_masks(cleaned, tmp_path):
    import datasets

    datasets.disable_progress_bars()
    loaded = datasets.load_dataset(str(cleaned / "out"), cache_dir=str(tmp_path / "cache"))["train"]
    assert len(loaded) == len(NAMES)
    for one in loaded:
        assert one["image"].size == one["mask"].size == (WIDTH, HEIGHT)
        assert (np.asarray(one["mask"]) == HOLE * 255).all()


def test_a_prompt_finds_the_object_of_a_turned_picture_where_it_is_seen(tmp_path):
    drawn = drawn_scene(3_000_000, "day")
    put(tmp_path / "in/a.jpg", 6, drawn.image)
    run(job(tmp_path, text=[drawn.target.text], model="bundled", method="telea", dilate=0))
    mask = decode_mask((tmp_path / "out/masks/a.jpg.png").read_bytes())
    assert (mask & drawn.object).sum() / (mask | drawn.object).sum() > 0.6


def test_a_region_of_coco_is_upright(tmp_path):
    put(tmp_path / "in/a.jpg", 8)
    told = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [30, 5, 14, 10], "area": 140, "iscrowd": 0,
                         "segmentation": [[30, 5, 44, 5, 44, 15, 30, 15]]}],
        "categories": [{"id": 1, "name": "thing"}],
    }  # fmt: skip
    (tmp_path / "coco.json").write_text(json.dumps(told))
    run(job(tmp_path, coco=str(tmp_path / "coco.json"), category=["thing"]))
    mask = decode_mask((tmp_path / "out/masks/a.jpg.png").read_bytes())
    assert (mask & HOLE).sum() / (mask | HOLE).sum() > 0.8
    assert rows(tmp_path / "out")["a.jpg"]["outside_max_diff"] == 0


@pytest.mark.parametrize("turn", [5, 6, 7, 8])
def test_a_mask_without_a_tag_that_fits_only_as_the_picture_is_stored_is_meant_so(tmp_path, turn):
    put(tmp_path / "in/a.jpg", turn)
    (tmp_path / "mask.png").write_bytes(encode_mask(stored(HOLE, turn)))
    run(job(tmp_path))
    assert (decode_mask((tmp_path / "out/masks/a.jpg.png").read_bytes()) == HOLE).all()


def test_a_mask_with_a_tag_is_as_its_tag_says(tmp_path):
    put(tmp_path / "in/a.jpg", 3)
    (tmp_path / "mask.png").write_bytes(encode_mask(HOLE, 3))
    run(job(tmp_path))
    assert (decode_mask((tmp_path / "out/masks/a.jpg.png").read_bytes()) == HOLE).all()


@pytest.mark.parametrize("turn", range(2, 9))
@pytest.mark.parametrize("applied", [False, True], ids=["kept its pixels", "turned its pixels"])
def test_a_corrected_mask_that_lost_its_tag_is_taken_as_it_is_like_ours_and_gets_the_tag_again(tmp_path, turn, applied):
    put(tmp_path / "in/a.jpg", turn)
    (tmp_path / "mask.png").write_bytes(encode_mask(HOLE))
    run(job(tmp_path))
    corrected = HOLE.copy()
    corrected[15:19, 32:40] = True
    file = tmp_path / "out/masks/a.jpg.png"
    file.write_bytes(encode_mask(corrected if applied else stored(corrected, turn)))
    run(job(tmp_path))
    row = rows(tmp_path / "out")["a.jpg"]
    assert (row["status"], row["segmenter"]) == ("removed", "by hand"), row["reason"]
    assert (decode_mask(file.read_bytes()) == corrected).all()
    assert Image.open(file).getexif()[0x0112] == turn
    assert run(job(tmp_path)).done.total() == 0


def test_a_corrected_mask_that_may_be_meant_either_way_is_refused_with_what_to_do(tmp_path):
    put(tmp_path / "in/a.jpg", 3)
    middle = np.zeros_like(HOLE)
    middle[12:24, 20:32] = True
    (tmp_path / "mask.png").write_bytes(encode_mask(middle))
    run(job(tmp_path))
    drawn = middle.copy()
    drawn[10:12, 20:24] = True
    file = tmp_path / "out/masks/a.jpg.png"
    file.write_bytes(encode_mask(drawn))
    run(job(tmp_path, max_failures=5))
    row = rows(tmp_path / "out")["a.jpg"]
    assert row["status"] == "failed"
    assert "masks/a.jpg.png" in row["reason"]
    assert "orientation tag" in row["reason"]
    file.write_bytes(encode_mask(drawn, 3))
    run(job(tmp_path))
    assert rows(tmp_path / "out")["a.jpg"]["status"] == "removed"
    assert (decode_mask(file.read_bytes()) == drawn).all()


@pytest.mark.parametrize("to", ["png", "webp", "jpeg"])
def test_a_converted_picture_stays_turned_with_its_tag(tmp_path, to):
    put(tmp_path / "in/a.tif", 6)
    (tmp_path / "mask.png").write_bytes(encode_mask(HOLE))
    run(job(tmp_path, format=to))
    (after,) = (tmp_path / "out/images").iterdir()
    assert Image.open(after).getexif()[0x0112] == 6
    assert np.abs(seen(after).astype(int) - scene())[~HOLE].mean() < 4


@pytest.mark.parametrize("turn", STEPS)
@pytest.mark.parametrize("container", ["AVIF", "HEIF"])
def test_an_avif_stays_turned_and_a_heic_comes_out_upright_as_its_reader_gives_it(container, turn):
    if container == "HEIF" and not heic.opening():
        pytest.skip("pillow-heif is not installed")
    exif, out = Image.Exif(), io.BytesIO()
    exif[0x0112] = turn
    how = {"subsampling": "4:4:4"} if container == "AVIF" else {"chroma": 444}
    image = Image.fromarray(np.ascontiguousarray(stored(scene(), turn)))
    image.save(out, container, quality=95, exif=exif.tobytes(), **how)
    picture = decode(out.getvalue())
    written = changed(picture, picture.image)[0]
    for data in (out.getvalue(), written):
        assert np.abs(decode(data).image.astype(int) - scene()).mean() < 4
        assert decode(data).orientation == (turn if container == "AVIF" else 1)
    assert (orientation_of(written) or 1) == (turn if container == "AVIF" else 1)


def test_a_block_that_says_nothing_but_an_orientation_is_one_that_pillow_reads():
    shown = Image.new("L", (2, 3))
    out = io.BytesIO()
    shown.save(out, "PNG", exif=saying(8))
    assert Image.open(io.BytesIO(out.getvalue())).getexif() == {0x0112: 8}


def test_the_picture_of_one_side_is_not_that_of_another():
    assert len({encode_image(np.ascontiguousarray(stored(scene(), turn))) for turn in STEPS}) == 8
