"""Whatever comes in: bytes that are almost a picture, prompts of any kind, names of any kind, masks of any shape."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from flows.formats.encoding import encode
from flows.formats.mask_files import decode_mask, encode_mask
from flows.formats.picture import BrokenPicture, UnsupportedPicture
from flows.formats.pictures import decode
from flows.places.layout import files_of
from flows.requests.job_requests import read_prompts
from flows.steps.mask_limits import area_objection
from masks import dilate, fill_holes, hull
from removal.crops.crop import cut, feather, paste
from tests.flows.small import image

CONTAINERS = {
    "PNG": {},
    "JPEG": {"quality": 90},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "BMP": {},
    "GIF": {},
    "AVIF": {},
}


def whole(container: str) -> bytes:
    out = io.BytesIO()
    picture = Image.fromarray(image())
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif} if container in ("PNG", "JPEG", "WEBP") else {}
    (picture.quantize(16) if container == "GIF" else picture).save(out, container, **options)
    return out.getvalue()


WHOLE = {container: whole(container) for container in CONTAINERS}
REFUSALS = (BrokenPicture, UnsupportedPicture, ValueError)


def tried(work: Callable[[], Any]) -> Any:
    """What comes of some work, or the words of its refusal; any other error is a crash."""
    try:
        return work()
    except REFUSALS as error:
        return str(error)


changes = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6)


@settings(max_examples=250)
@given(container=st.sampled_from([*CONTAINERS]), changed=changes, cut_at=st.none() | st.integers(0, 10**6))
def test_bytes_that_are_almost_a_picture_are_a_picture_or_say_why_not(container, changed, cut_at):
    data = bytearray(WHOLE[container])
    for place, value in changed:
        data[place % len(data)] = value
    spoiled = bytes(data[: cut_at % len(data)] if cut_at is not None else data)
    picture = tried(lambda: decode(spoiled, max_pixels=10**6))
    if isinstance(picture, str):
        assert picture
        return
    assert picture.image.dtype == np.uint8
    again = tried(lambda: decode(encode(picture, picture.image), max_pixels=10**6))
    assert isinstance(again, str) or again.image.shape == picture.image.shape


@settings(max_examples=100)
@given(data=st.binary(max_size=400))
def test_any_bytes_as_a_mask_are_a_mask_or_say_why_not(data):
    drawn = tried(lambda: decode_mask(data))
    assert drawn if isinstance(drawn, str) else drawn.dtype == bool


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
prompt_rows = st.fixed_dictionaries(
    {"file_name": st.text(max_size=8) | json_values}, optional=dict.fromkeys(("text", "points", "boxes"), json_values)
)
lines = st.lists(prompt_rows.map(lambda row: json.dumps(row).encode()) | st.binary(max_size=40), max_size=5)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=lines.map(b"\n".join))
@example(b"\xff\xfe")
@example(b'{"file_name": "a.png", "points": [[1e400, 2, 1]]}')
@example(b"[" * 100_000)
@example(b'{"file_name": "a.png", "points": [[' + b"9" * 5000 + b", 1, 1]]}")
def test_a_prompts_file_of_any_bytes_is_read_or_refused_with_its_line(tmp_path, content):
    file = tmp_path / "prompts.jsonl"
    file.write_bytes(content)
    os.utime(file, ns=(0, hash(content) % 10**18))  # read_prompts knows a file by its size and time
    read = tried(lambda: read_prompts(file))
    assert isinstance(read, dict) or "line" in read or "UTF-8" in read


name_parts = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8)
names = st.lists(name_parts, min_size=1, max_size=3).map("/".join)
KINDS = ("image", "mask", "pending_mask", "protected", "strip", "process", "attempts")
WAYS = [lambda name, kind=kind: getattr(files_of(name), kind) for kind in KINDS]


@given(names=st.lists(names, min_size=2, max_size=6, unique=True))
@example(["a.jpg", "a.png", "a.jpg.png", "A.JPG"])
def test_no_two_files_of_a_target_share_a_path(names):
    paths = [way(name) for way in WAYS for name in names]
    assert len(set(paths)) == len(paths)


@pytest.mark.parametrize("way", WAYS)
@given(name=names)
def test_a_name_can_be_read_back_from_the_path_of_its_file(way, name):
    before, after = way("\0").split("\0")
    assert way(name) == before + name + after


sides = st.integers(1, 40)
any_mask = st.tuples(sides, sides).flatmap(lambda shape: arrays.arrays(bool, shape))


@given(drawn=any_mask)
def test_a_mask_comes_back_from_its_file(drawn):
    assert (decode_mask(encode_mask(drawn)) == drawn).all()


@given(drawn=any_mask, first=st.integers(0, 6), second=st.integers(0, 6))
def test_masks_grow_by_dilation_and_never_shrink(drawn, first, second):
    once = dilate(drawn, first)
    assert (drawn <= once).all()
    assert (once <= dilate(once, second)).all()
    assert (dilate(drawn, 0) == drawn).all()
    assert drawn.any() or not once.any()
    both = drawn | np.roll(drawn, 1, axis=0)
    assert (dilate(both, first) == (once | dilate(np.roll(drawn, 1, axis=0), first))).all()


@given(drawn=any_mask)
def test_filling_holes_and_hulls_only_add_and_add_once(drawn):
    for grows in (fill_holes, hull):
        grown = grows(drawn)
        assert (drawn <= grown).all()
    assert (fill_holes(fill_holes(drawn)) == fill_holes(drawn)).all()


@given(drawn=any_mask, most=st.floats(0.01, 1))
def test_a_mask_is_too_large_or_it_is_not(drawn, most):
    assert (area_objection(drawn, most) is None) == (drawn.mean() <= most)


@given(drawn=any_mask, resolution=st.sampled_from([8, 16, 33]), context=st.floats(1, 5), value=st.integers(0, 255))
def test_what_is_cut_and_pasted_back_changes_nothing_outside_the_mask(drawn, resolution, context, value):
    assume(drawn.any())
    pixels = np.random.default_rng(0).integers(0, 256, (*drawn.shape, 3)).astype(np.uint8)
    crop = cut(pixels, drawn, resolution, context)
    result = paste(pixels, drawn, crop, np.full_like(crop.image, value))
    assert (result[~drawn] == pixels[~drawn]).all()
    assert (result[drawn] == value).all()
    assert (feather(pixels, result, drawn, 3)[~drawn] == pixels[~drawn]).all()
    same = paste(pixels, drawn, crop, crop.image)
    assert crop.side != resolution or (same == pixels).all()
