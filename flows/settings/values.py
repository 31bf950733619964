"""Values of settings that are more than a number: points, boxes, shares, names of methods; and their checks."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, WithJsonSchema

from removal.methods.table import METHODS

if TYPE_CHECKING:
    MethodName = str
else:  # adding a method needs a row in that table, and nothing here
    MethodName = Literal["auto", *METHODS]


def _number_or(pattern: str) -> WithJsonSchema:
    """The schema for Prefect's form and `deployment run -p`; Job's own validators give better messages."""
    return WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": pattern}]})


def _named(value: object) -> object:
    """The prefill for True (the default) and False (none)."""
    return ("patchmatch" if value else "none") if isinstance(value, bool) else value


PREFILLS = ["patchmatch", "lama", "none"]
Prefill = Annotated[
    Literal["patchmatch", "lama", "none"],
    BeforeValidator(_named),
    WithJsonSchema({"anyOf": [{"type": "string", "enum": PREFILLS}, {"type": "boolean"}]}),
]

FAR = 1e6  # pixels; no picture is that wide, and NaN and infinity are not below it

Dilation = Annotated[int | str, _number_or(r"^(auto|\d+|\d+(\.\d+)?%)$")]
Switch = Annotated[  # true and false are for job files
    Literal["auto", "on", "off"], WithJsonSchema({"enum": ["auto", "on", "off", True, False]})
]
Part = Annotated[str, WithJsonSchema({"type": "string", "pattern": r"^([1-9]\d*/[1-9]\d*)?$"})]
Allowance = Annotated[int | str, _number_or(r"^\d+(\.\d+)?%?$")]


def one_or_several(value: Any) -> Any:
    """A list for a setting that may be repeated; a single value need not be in a list."""
    return [value] if isinstance(value, str) and value else value or []


def one_or_several_numbers(value: Any) -> Any:
    """The same for numbers."""
    return [value] if isinstance(value, (int, str)) and value != "" else value or []


def on_or_off(value: Any) -> Any:
    """A `Switch`, which job files may set to true or false."""
    return ("off", "on")[value] if isinstance(value, bool) else value


def checked(check: Callable[[Any], object]) -> Callable[[Any], Any]:
    """A validator that returns a value as it is, if `check` raises nothing."""

    def validate(value: Any) -> Any:
        check(value)
        return value

    return validate


def each(check: Callable[[Any], object]) -> Callable[[list[Any]], list[Any]]:
    """A validator that returns a list as it is, if `check` raises nothing for any item."""
    return checked(lambda values: [check(value) for value in values])


def check_phrase(text: str) -> None:
    from masks import TextPrompt

    TextPrompt.parse(text)


def check_label(label: int) -> None:
    if label < 0:
        raise ValueError(f"a label of a mask is a whole number from 0 on, such as 8, not {label}")


def check_region(text: str) -> None:
    from masks.region import Region

    if text:
        Region.parse(text)


def check_dilation(value: int | str) -> None:
    from masks.morphology import parse_dilation

    if value != "auto":
        parse_dilation(value)


def check_address(text: str) -> None:
    if text and not re.fullmatch(r"(https?|file)://[^\s()<>]+", text):
        raise ValueError(f"where the report can be read is such as https://host/cleaned/report.html, not {text!r}")


def check_failures(value: int | str) -> None:
    if not re.fullmatch(r"\d+(\.\d*)?%?|\.\d+%?", str(value), re.ASCII):
        raise ValueError(f"failures allowed are a number such as 5, or a share such as 10%, not {value!r}")


def parse_point(text: str) -> tuple[float, float, int]:
    """(x, y, label) of "x,y" (on the object, label 1) or "x,y,-" (on what is not meant, label 0)."""
    try:
        x, y, *label = (part.strip() for part in text.split(","))
        place = _number(x), _number(y)
        meant = {(): 1, ("+",): 1, ("1",): 1, ("-",): 0, ("0",): 0}[tuple(label)]
    except (ValueError, KeyError):
        raise ValueError(f"a point is x,y or x,y,- such as 200,450, not {text!r}") from None
    in_pixels(place)
    return *place, meant


def parse_part(text: str) -> tuple[int, int] | None:
    """(index, count) of "2/8", the index from 1; None for "". Raises ValueError for anything else."""
    if not text:
        return None
    index, _, count = text.partition("/")
    if index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count):
        return int(index), int(count)
    raise ValueError(f"a shard is i/n with i from 1 to n, such as 2/8, not {text!r}")


def parse_box(text: str) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of "x0,y0,x1,y1"."""
    try:
        left, top, right, bottom = (_number(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"a box is x0,y0,x1,y1 such as 10,20,110,90, not {text!r}") from None
    in_pixels((left, top, right, bottom))
    return left, top, right, bottom


def in_pixels(values: tuple[float, ...]) -> None:
    """Raises ValueError for a point (x, y) or a box (left, top, right, bottom) given in shares of the picture.

    A box narrower than a pixel counts as such, and a point inside the first pixel, but not on its corners.
    """
    if len(values) == 4 and 0 < min(values[2] - values[0], values[3] - values[1]) < 1:
        raise ValueError(f"box {_told(values)} is narrower than a pixel; boxes are given in pixels, not in shares")
    if len(values) == 2 and all(0 <= value <= 1 for value in values) and any(value % 1 for value in values):
        raise ValueError(f"point {_told(values)} is given in shares of the picture; points are given in pixels")


def _number(text: str) -> float:
    """A valid coordinate: not infinite, and not NaN."""
    if not abs(number := float(text)) < FAR:
        raise ValueError(f"{text} is not a coordinate in a picture")
    return number


def _told(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:g}" for value in values)
