"""Masks that people have: what is meant of their values, and what is refused because it cannot be told."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from flows.formats.mask_files import decode_mask, encode_mask, read_mask
from flows.formats.picture import BrokenPicture

SIDE = 128
Y, X = np.mgrid[0:SIDE, 0:SIDE]
DISC = (X - 60) ** 2 + (Y - 64) ** 2 < 30**2
BOX = np.zeros((SIDE, SIDE), bool)
BOX[8:24, 90:120] = True
VOC = np.array([[128 * (k >> c & 1) + 64 * (k >> c + 3 & 1) for c in range(3)] for k in range(256)], np.uint8)


def saved(pixels: np.ndarray | Image.Image, container: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(buffer, container, **options)
    return buffer.getvalue()


def levels(low: int, high: int, kind: type = np.uint8) -> np.ndarray:
    return np.where(DISC, high, low).astype(kind)


def smooth(low: int = 0, high: int = 255) -> np.ndarray:
    """The disc with edges as a painting program draws them: each pixel as much as it is covered."""
    fine = np.mgrid[0 : SIDE * 4, 0 : SIDE * 4] / 4
    covered = ((fine[1] - 60) ** 2 + (fine[0] - 64) ** 2 < 30**2).reshape(SIDE, 4, SIDE, 4).mean((1, 3))
    return np.round(low + (high - low) * covered).astype(np.uint8)


def paletted(index: np.ndarray, colours: np.ndarray = VOC, **options) -> bytes:
    image = Image.fromarray(index.astype(np.uint8), "L").copy()
    image.putpalette(colours.tobytes())
    return saved(image, **options)


def is_near(mask: np.ndarray, meant: np.ndarray) -> bool:
    """Whether a mask is the meant one, but for the pixel beside its edge."""
    wide, narrow = (turn(meant.astype(np.uint8), np.ones((5, 5))) for turn in (cv2.dilate, cv2.erode))
    return bool((mask <= wide.astype(bool)).all() and (narrow.astype(bool) <= mask).all())


@pytest.mark.parametrize(("low", "high"), [(0, 255), (0, 1), (0, 128), (0, 40), (200, 255), (1, 2), (3, 7)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_of_two_values_the_higher_is_meant_whatever_it_is(low, high, kind):
    assert (decode_mask(saved(levels(low, high, kind))) == DISC).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P"])
def test_black_and_white_is_read_the_same_in_every_mode(mode):
    drawn = Image.fromarray(levels(0, 255)).convert("RGBA" if mode == "RGBA" else mode)
    assert (decode_mask(saved(drawn)) == DISC).all()


def test_a_palette_may_begin_with_white():
    black_second = np.array([[255] * 3, [0] * 3] + [[0] * 3] * 254, np.uint8)
    assert (decode_mask(paletted(~DISC, black_second)) == DISC).all()


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P"])
def test_all_black_is_nothing_and_all_white_is_everything(mode):
    for value, meant in ((0, False), (255, True)):
        drawn = Image.fromarray(np.full((9, 12), value, np.uint8)).convert(mode)
        assert (decode_mask(saved(drawn)) == meant).all()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("ids", [(1, 2), (3, 200), (200, 3), (64, 65)])
def test_every_instance_of_a_map_of_instances_is_meant(kind, ids):
    drawn = np.zeros((SIDE, SIDE), kind)
    drawn[DISC], drawn[BOX] = ids
    drawn[100:103, 3:5], drawn[5, 3:80] = 9, 11  # a speck and a thin line are labels too
    assert (decode_mask(saved(drawn)) == (drawn > 0)).all()
    assert (decode_mask(saved(drawn.astype(np.uint16), "TIFF")) == (drawn > 0)).all()


def test_sixty_four_labels_side_by_side_are_labels():
    drawn = (X // 4 + Y // 64 * 32).astype(np.uint8)
    assert (decode_mask(saved(drawn)) == (drawn > 0)).all()


def test_small_numbers_are_labels_however_thin_and_scattered():
    drawn = np.random.default_rng(0).integers(0, 21, (SIDE, SIDE), dtype=np.uint8)
    for kind in (np.uint8, np.uint16, np.float32):
        assert (decode_mask(saved(drawn.astype(kind), "TIFF")) == (drawn > 0)).all()
    assert (read_mask(saved(drawn), (4, 7)).mask == np.isin(drawn, (4, 7))).all()


def test_a_palette_of_greys_may_be_in_any_order():
    drawn = Image.fromarray(DISC * np.uint8(200) + BOX * np.uint8(100))
    assert (decode_mask(saved(drawn.convert("RGB").quantize(8))) == DISC | BOX).all()
    assert is_near(decode_mask(saved(Image.fromarray(smooth()).convert("RGB").quantize(16))), DISC)


def test_a_palette_is_a_label_map_and_its_255_is_void():
    index = np.where(DISC, 8, 0)
    index[BOX] = 15
    edge = cv2.morphologyEx((index > 0).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > 0
    index[edge] = 255
    assert (decode_mask(paletted(index)) == (DISC | BOX) & ~edge).all()
    assert (read_mask(paletted(index), (8,)).mask == DISC & ~edge).all()
    assert (read_mask(paletted(index), (8, 255)).mask == (DISC & ~edge) | edge).all()


@pytest.mark.parametrize("class_", [1, 8, 15, 20])
def test_one_class_of_a_palette_is_meant_however_dark_its_colour(class_):
    assert (decode_mask(paletted(DISC * class_)) == DISC).all()


def test_labels_that_are_chosen_are_meant_alone():
    drawn = DISC * np.uint8(3) + BOX * np.uint8(200)
    assert (read_mask(saved(drawn), (200,)).mask == BOX).all()
    assert (read_mask(saved(drawn), (3, 200)).mask == DISC | BOX).all()
    assert not read_mask(saved(drawn), (5,)).mask.any()
    assert (read_mask(saved(drawn.astype(np.uint16) * 100), (20000,)).mask == BOX).all()
    panoptic = np.stack([drawn, DISC * np.uint8(1), 0 * drawn], axis=2)
    assert (read_mask(saved(panoptic), (3 + 256,)).mask == DISC).all()


def test_labels_are_not_chosen_from_soft_edges():
    with pytest.raises(BrokenPicture, match="soft edges"):
        read_mask(saved(smooth()), (255,))


@pytest.mark.parametrize(("low", "high"), [(0, 255), (0, 128), (0, 64), (50, 200)])
def test_smooth_edges_end_in_their_middle(low, high):
    assert is_near(decode_mask(saved(smooth(low, high))), DISC)
    assert is_near(decode_mask(saved(cv2.GaussianBlur(levels(low, high), (0, 0), 3))), DISC)


@pytest.mark.parametrize("quality", [30, 75, 95])
@pytest.mark.parametrize(("low", "high"), [(0, 255), (0, 128), (0, 40), (50, 200)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_what_a_jpeg_leaves_around_edges_is_not_meant(low, high, quality, mode):
    for drawn in (levels(low, high), smooth(low, high)):
        data = saved(Image.fromarray(drawn).convert(mode), "JPEG", quality=quality)
        assert is_near(decode_mask(data), DISC)
        assert is_near(decode_mask(saved(Image.open(io.BytesIO(data)))), DISC), "a JPEG that was saved as PNG"


@pytest.mark.parametrize("container", ["WEBP", "AVIF"])
def test_other_lossy_containers_are_read_as_a_jpeg_is(container):
    drawn = Image.fromarray(levels(0, 255)).convert("RGB")
    assert is_near(decode_mask(saved(drawn, container, quality=60)), DISC)


def test_a_tiny_object_in_a_jpeg_is_its_bright_pixels():
    drawn = np.zeros((SIDE, SIDE), np.uint8)
    drawn[60:66, 40:46] = 255
    assert is_near(decode_mask(saved(drawn, "JPEG", quality=80)), drawn > 0)


def test_a_gradient_is_a_soft_mask_brighter_than_the_middle():
    drawn = np.repeat(np.arange(256, dtype=np.uint8)[None], 64, axis=0)
    assert (decode_mask(saved(drawn)) == (drawn > 127)).all()
    deep = drawn.astype(np.uint16) * 257
    assert (decode_mask(saved(deep)) == (drawn > 127)).all()
    wide = np.repeat(np.arange(100, 200, dtype=np.uint8), 5)[None].repeat(64, axis=0)
    assert (decode_mask(saved(wide)) == (wide > 127)).all()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    assert (decode_mask(saved(noise)) == (noise > 127)).all()


def test_floats_are_shares_or_labels():
    likely = np.repeat(np.linspace(0, 1, 200, dtype=np.float32)[None], 64, axis=0)
    assert (decode_mask(saved(likely, "TIFF")) == (likely > 0.5)).all()
    assert (decode_mask(saved(DISC.astype(np.float32), "TIFF")) == DISC).all()
    assert (decode_mask(saved(DISC * np.float32(3) + BOX * np.float32(200), "TIFF")) == DISC | BOX).all()
    assert (decode_mask(saved((DISC * 70000 + BOX * 9).astype(np.int32), "TIFF")) == DISC | BOX).all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1.0])
def test_floats_that_are_no_values_of_a_mask_are_refused(wrong):
    with pytest.raises(BrokenPicture, match="its values"):
        decode_mask(saved(np.where(DISC, wrong, 0).astype(np.float32), "TIFF"))


def photo(alpha: np.ndarray) -> np.ndarray:
    colours = np.random.default_rng(1).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    return np.dstack([colours, alpha.astype(np.uint8)])


@pytest.mark.parametrize("grey", [False, True])
def test_an_alpha_channel_with_a_shape_is_the_mask_and_that_is_said(grey):
    for alpha in (smooth(), levels(0, 255), levels(0, 128), smooth(0, 100)):
        cut_out = Image.fromarray(photo(alpha))
        data = saved(cut_out.convert("LA") if grey else cut_out)
        opaque, clear = read_mask(data), read_mask(data, clear=True)
        assert is_near(opaque.mask, DISC)
        assert (clear.mask == ~opaque.mask).all()
        assert opaque.told == "its mask is the alpha channel: opaque is removed (--mask-alpha clear turns that)"
        assert clear.told == "its mask is the alpha channel: clear is removed (--mask-alpha opaque turns that)"


def test_a_cut_out_in_webp_and_a_transparent_colour_are_alpha_too():
    assert is_near(decode_mask(saved(photo(smooth()), "WEBP", lossless=True)), DISC)
    assert (decode_mask(paletted(DISC * 3, transparency=0)) == DISC).all()


@pytest.mark.parametrize("alpha", [0, 255])
def test_an_alpha_channel_all_opaque_or_all_clear_tells_nothing(alpha):
    drawn = Image.fromarray(levels(0, 255)).convert("RGB")
    drawn.putalpha(alpha)
    read = read_mask(saved(drawn), clear=True)
    assert (read.mask == DISC).all()
    assert read.told is None


@pytest.mark.parametrize("colours", [((255, 0, 0), (0, 0, 255)), ((128, 0, 0), (0, 64, 0)), ((1, 0, 0), (0, 0, 2))])
def test_coloured_labels_are_meant_and_black_is_not(colours):
    drawn = np.zeros((SIDE, SIDE, 3), np.uint8)
    drawn[DISC], drawn[BOX] = colours
    assert (decode_mask(saved(drawn)) == DISC | BOX).all()
    drawn[BOX] = 0
    assert (decode_mask(saved(drawn)) == DISC).all()


@pytest.mark.parametrize("container", ["PNG", "JPEG"])
@pytest.mark.parametrize("colour", [(255, 0, 0), (64, 0, 0), (0, 128, 30)])
def test_one_colour_with_soft_edges_is_meant(colour, container):
    drawn = np.round(smooth()[..., None] / 255 * np.array(colour)).astype(np.uint8)
    assert is_near(decode_mask(saved(drawn, container)), DISC)


def test_of_two_colours_the_brighter_is_meant():
    drawn = np.where(DISC[..., None], (253, 231, 37), (68, 1, 84)).astype(np.uint8)  # as matplotlib saves a mask
    assert (decode_mask(saved(drawn)) == DISC).all()


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (photo(levels(255, 255))[..., :3], "colours are a picture's"),
        (np.where(BOX, 3, levels(1, 2)).astype(np.uint8), "1, 2 and 3 are labels, and none of them is 0"),
        (cv2.GaussianBlur(DISC * np.uint8(90) + BOX * np.uint8(255), (0, 0), 2), "areas of 90"),
        ((X // 2 + Y // 64 * 64).astype(np.uint16) * 9, "none of them is brighter"),
        (((X // 4 + Y // 16 * 32) * 37 % 256).astype(np.uint8), "no soft edges"),
    ],
    ids=["a photo", "labels without a background", "two levels with soft edges", "many ids", "very many ids"],
)
def test_what_is_none_of_these_is_refused_with_its_values(pixels, said):
    with pytest.raises(BrokenPicture, match=said):
        decode_mask(saved(pixels))


def test_what_is_written_here_comes_back():
    for mask in (DISC, ~DISC, DISC & False, DISC | True):
        assert (decode_mask(encode_mask(mask)) == mask).all()
