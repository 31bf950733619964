"""Values of settings that are more than a number: points, boxes, shares, names of methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import WithJsonSchema

from removal.methods.table import METHODS

if TYPE_CHECKING:
    MethodName = str
else:  # a method needs its row in that table, and nothing here
    MethodName = Literal["auto", *METHODS]


def _number_or(pattern: str) -> WithJsonSchema:
    """What Prefect's form and `deployment run -p` check; Job's own validators say it in better words."""
    return WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": pattern}]})


Dilation = Annotated[int | str, _number_or(r"^(auto|\d+|\d+(\.\d+)?%)$")]
Part = Annotated[str, WithJsonSchema({"type": "string", "pattern": r"^([1-9]\d*/[1-9]\d*)?$"})]
Allowance = Annotated[int | str, _number_or(r"^\d+(\.\d+)?%?$")]


def parse_point(text: str) -> tuple[float, float, int]:
    """(x, y, label) of "x,y" (on the object, label 1) or "x,y,-" (on what is not meant, label 0)."""
    try:
        x, y, *label = (part.strip() for part in text.split(","))
        return float(x), float(y), {(): 1, ("+",): 1, ("1",): 1, ("-",): 0, ("0",): 0}[tuple(label)]
    except (ValueError, KeyError):
        raise ValueError(f"a point is x,y or x,y,- such as 200,450, not {text!r}") from None


def parse_box(text: str) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of "x0,y0,x1,y1"."""
    try:
        left, top, right, bottom = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"a box is x0,y0,x1,y1 such as 10,20,110,90, not {text!r}") from None
    return left, top, right, bottom
