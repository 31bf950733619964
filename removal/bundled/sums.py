"""Records and checks the hashes of weight files, so that a damaged or exchanged one is named and not used."""

from __future__ import annotations

import hashlib
from pathlib import Path

SUMS = "SHA256SUMS"  # the format of `sha256sum --check`
WEIGHTS = (".safetensors", ".pth")


def record(folder: Path) -> None:
    """Write the hashes of every weight file below `folder`."""
    files = sorted(file for file in folder.rglob("*") if file.suffix in WEIGHTS)
    (folder / SUMS).write_text("".join(f"{_hash(file)}  {file.relative_to(folder).as_posix()}\n" for file in files))


def check(folder: Path) -> None:
    """Raises OSError unless every weight file below `folder`, one of the bundled checkpoints, is the one recorded."""
    root = Path(__file__).parent
    for line in (root / SUMS).read_text().splitlines():
        wanted, name = line.split("  ", 1)
        file = root / name
        if folder in file.parents and (not file.exists() or _hash(file) != wanted):
            raise OSError(
                f"{file} is not the file that was shipped (damaged, or exchanged by hand); install Cleanplate again, "
                f"or keep weights of your own in another folder and name that folder"
            )


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
