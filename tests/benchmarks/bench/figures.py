"""A figure of the bench, and the table of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """What was measured or counted, and where it should be, such as `≥ 0.92`; `note` says how."""

    tier: int
    what: str
    value: float
    unit: str = ""
    target: str = ""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if not self.target:
            return None
        sign, limit = self.target.split()
        return {"≥": self.value >= float(limit), "≤": self.value <= float(limit), "=": self.value == float(limit)}[sign]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"met": self.met}


def table(figures: list[Figure], tier: int) -> str:
    """The figures of a tier, as Markdown."""
    lines = ["| what | value | target | |", "|---|---|---|---|"]
    for one in figures:
        if one.tier == tier:
            said = {True: "met", False: "**missed**", None: ""}[one.met]
            value = f"{one.value:.4g} {one.unit}".strip()
            lines.append(f"| {one.what} | {value} | {one.target} | {', '.join(filter(None, [said, one.note]))} |")
    return "\n".join(lines)
