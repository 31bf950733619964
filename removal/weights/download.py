"""Fetches one file from an address, checked against the first digits of its SHA-256; not for those of the hub.

By hand, since torch.hub's function waits for ever on a connection that has gone silent.
"""

from __future__ import annotations

import hashlib
import urllib.request
from pathlib import Path
from typing import Any

from removal.weights.cache import appearing_whole

SILENT = 60.0  # seconds without a byte, after which nothing more is expected
PIECE = 1 << 20  # bytes read at once


def download(url: str, file: Path, digits: str) -> None:
    """Put what `url` gives at `file`, whole or not at all, under a bar where the hub's library shows any.

    Raises OSError when it is out of reach, goes silent or ends early, and when its SHA-256 begins otherwise.
    """
    try:
        with urllib.request.urlopen(url, timeout=SILENT) as answer, appearing_whole(file) as part:
            found = _copied(answer, part, file.name)
            if not found.startswith(digits):
                raise OSError(f"its SHA-256 begins with {found[: len(digits)]}, not with {digits}")
    except TimeoutError as error:
        raise OSError(f"not a byte came for {SILENT:g} seconds") from error


def _copied(answer: Any, part: Path, name: str) -> str:
    """The SHA-256 of all that came, which is in `part` then."""
    from huggingface_hub.utils import tqdm

    size, digest = int(answer.headers.get("Content-Length") or 0), hashlib.sha256()
    with part.open("wb") as out, tqdm(total=size or None, unit="B", unit_scale=True, desc=name) as bar:
        while piece := answer.read(PIECE):
            out.write(piece)
            digest.update(piece)
            bar.update(len(piece))
        if out.tell() < size:
            raise OSError(f"the connection ended after {out.tell():,} of {size:,} bytes")
    return digest.hexdigest()
