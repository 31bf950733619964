"""HEIC, which is read and written if the package pillow-heif is installed: the extra `heic`."""

from __future__ import annotations

import functools
from importlib.util import find_spec

SUFFIXES = frozenset({".heic", ".heif", ".hif"})
MISSING = "it is a HEIC, which needs one more library: pip install 'cleanplate[heic]'"


def installed() -> bool:
    """True if such pictures can be opened. Imports nothing."""
    return find_spec("pillow_heif") is not None


@functools.cache
def opening() -> tuple[str, ...]:
    """The formats that Pillow opens with pillow-heif, which is registered at the first call."""
    if not installed():
        return ()
    import pillow_heif

    pillow_heif.register_heif_opener()
    return ("HEIF",)
