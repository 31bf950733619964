"""The pixels that a mask means, by its values alone: two values, labels, a soft mask, or none of these."""

from __future__ import annotations

import numpy as np

from flows.formats.mask_levels import NEAR, apart, between_two, levels_of, ranks, steps_are_steep, values_of

MOST_LABELS = 64  # grey values of a label map without soft edges; more are a soft mask
LUMA = (299, 587, 114)  # weights of red, green and blue in brightness (ITU-R BT.601)
VOID = 255  # the border around objects in the palettes of Pascal VOC
MIDDLE = 0.5
PLATEAU = 0.01  # share of the picture above which a value is not a gradient's
CHOOSE = "; choose with --mask-label"
SAVE = "; save the mask in black and white"
SHOWN = 6  # values that an error names


def of_greys(grey: np.ndarray, top: int, lossy: bool = False) -> np.ndarray:
    """The mask (H×W bool) of grey values (H×W uint8 or uint16, `top` is white).

    A `lossy` container keeps no labels. Raises ValueError that names the values if they are none of the three kinds.
    """
    values = values_of(grey)
    if len(values) == 1:
        return np.full(grey.shape, values[0] > 0)
    if len(values) == 2:
        return grey == values[1]
    levels, soft = levels_of(grey)
    if len(values) <= MOST_LABELS and not soft and not lossy:
        return _every_label(grey, values)
    if not soft and not lossy and steps_are_steep(grey, top):
        raise ValueError(f"{_these(values)} are too many for labels, and have no soft edges{CHOOSE}")
    levels = apart(grey, values, levels)
    if (middle := between_two(grey, values, levels)) is not None:
        return grey > middle
    return _soft(grey, values, levels, top)


def of_palette(index: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """The mask of a palette's indexes (H×W uint8, into 256×3 uint8): every one except 0, and 255, which is void.

    If two are used, the higher is meant, unless one of them is black, the background. A palette of greys may hold a
    mask with soft edges. Raises ValueError for a picture, and if either 0 or a black index may be the background.
    """
    values = values_of(index)
    grey = not np.ptp(colours[values], axis=1).any()
    soft = len(values) > 2 and levels_of(index)[1]
    if grey:
        meant = of_greys(colours[index, 0], VOID)
        return meant if len(values) <= 2 or soft else meant & (index != VOID)
    black = [int(value) for value in values if not colours[value].any()]
    if len(values) == 2:
        return index != black[0] if len(black) == 1 else index == values[1]
    if soft and len(values) > MOST_LABELS:
        raise ValueError(f"its {len(values)} colours are a picture's{SAVE}")
    if values[0] == 0 and black and 0 not in black:
        raise ValueError(
            f"{_these(values)}, of which {black[0]} is black, and so may be the background instead of 0{CHOOSE}"
        )
    return _every_label(index, values) & (index != VOID)


def of_colours(channels: tuple[np.ndarray, ...], lossy: bool = False) -> np.ndarray:
    """The mask (H×W bool) of colours (three times H×W uint8 or uint16).

    A few colours are labels, with black as the background; of two colours the brighter is meant. One colour with soft
    edges on black is judged by its brightness. Raises ValueError for a picture.
    """
    codes, brightest = codes_of(channels), np.maximum(np.maximum(*channels[:2]), channels[2])
    values = values_of(codes)
    if len(values) <= 2:
        return (
            codes == max(values, key=lambda code: _luma(int(code), 8 * channels[0].itemsize))
            if values.any()
            else codes > 0
        )
    if len(values) <= MOST_LABELS and not lossy and not levels_of(ranks(codes, values))[1]:
        return _every_label(codes, values)
    greys = values_of(brightest)
    levels = apart(brightest, greys, levels_of(brightest)[0])
    if len(levels) and levels[0] < greys[-1] / 4 and (middle := between_two(brightest, greys, levels)) is not None:
        return brightest > middle
    raise ValueError(f"its {len(values)} colours are a picture's, neither labels nor one colour on black{SAVE}")


def of_codes(codes: np.ndarray) -> np.ndarray:
    """The mask of integers (H×W) that can only be labels. Raises ValueError if they are none."""
    values = values_of(codes)
    if len(values) <= 2:
        return codes == values[-1] if values.any() else codes > 0
    if levels_of(ranks(codes, values))[1]:
        raise ValueError(f"{_these(values)} are not labels")
    return _every_label(codes, values)


def of_labels(codes: np.ndarray, labels: tuple[int, ...]) -> np.ndarray:
    """The pixels (H×W bool) of a label map (H×W integers) with one of these `labels`.

    Raises ValueError for anything but a label map.
    """
    values = values_of(codes)
    if len(values) > 2 and levels_of(ranks(codes, values))[1]:
        raise ValueError(f"{_these(values)} have soft edges, so they are not labels to choose from")
    return np.isin(codes, labels)


def codes_of(channels: tuple[np.ndarray, ...]) -> np.ndarray:
    """One integer for the three channels of each pixel: R + 256·G + 65536·B for 8 bits, as in panoptic COCO."""
    bits = 8 * channels[0].itemsize
    return sum((one.astype(np.int64) << bits * place for place, one in enumerate(channels)), np.zeros((), np.int64))


def of_alpha(alpha: np.ndarray) -> np.ndarray | None:
    """The opaque pixels of an alpha channel (H×W); None if all or none are, which tells nothing."""
    opaque = alpha > int(alpha.max()) * MIDDLE  # a brush at half opacity is never brighter than grey
    return opaque if opaque.any() and not opaque.all() else None


def _every_label(codes: np.ndarray, values: np.ndarray) -> np.ndarray:
    if values[0] != 0 and len(values) > 1:
        raise ValueError(
            f"{_these(values)} are labels, and none of them is 0, the background; choose some with --mask-label"
        )
    return codes != 0


def _soft(grey: np.ndarray, values: np.ndarray, levels: np.ndarray, top: int) -> np.ndarray:
    """The pixels brighter than the middle. Raises ValueError if that leaves out an area, or everything."""
    meant = grey > top * MIDDLE
    if not meant.any():
        raise ValueError(f"{_these(values)} are not labels, and none of them is brighter than the middle{SAVE}")
    near = int((int(values[-1]) - int(values[0])) * NEAR)
    for level in levels[1:][levels[1:] <= top * MIDDLE]:
        alike = int(np.count_nonzero((grey >= level - min(near, level)) & (grey <= int(level) + near)))
        if int(np.count_nonzero(grey == level)) > max(PLATEAU * grey.size, alike / 2):  # not part of a gradient
            raise ValueError(f"{_these(values)} are a soft mask that would leave out the areas of {level}{SAVE}")
    return meant


def _these(values: np.ndarray) -> str:
    shown = [str(int(value)) for value in values]
    several = f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else shown[0]
    if len(shown) > SHOWN:
        several = f"{', '.join(shown[: SHOWN - 1])} … {shown[-1]} ({len(shown)} of them)"
    return f"its values {several}"


def _luma(code: int, bits: int) -> int:
    return sum(weight * (code >> bits * place & (1 << bits) - 1) for place, weight in enumerate(LUMA))
