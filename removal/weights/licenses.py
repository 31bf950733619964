"""Licences that need consent: weights that may not be used commercially are loaded only if the user accepts that."""

from __future__ import annotations

import re

NONCOMMERCIAL = re.compile(r"(?i)(?<![a-z])(nc|non-?commercial|s-lab|research-only)(?![a-z])")  # as model cards say it


def is_noncommercial(license: str | None) -> bool:
    return bool(license and NONCOMMERCIAL.search(license))


def refuse_unaccepted(name: str, license: str | None, accepted: bool) -> None:
    """Raises ValueError for weights whose licence forbids commercial use, unless the user accepted it."""
    if is_noncommercial(license) and not accepted:
        raise ValueError(
            f"{name} has the licence {license}, which forbids commercial use; read it, and if your use is allowed say "
            "--accept-license"
        )
