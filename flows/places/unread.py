"""What is not read of a source: folders that machines fill, and files that are neither pictures nor beside them."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePath

# Thumbnails of Synology's stations, bins of network drives and of Windows, what macOS puts into archives.
FILLED_BY_MACHINES = frozenset({"@eadir", "#recycle", "@recycle", "$recycle.bin", "__macosx"})
RECORDS_OF_ONE = ".cleanplate"
BESIDE_PICTURES = frozenset(  # captions, annotations, settings and lists
    {
        *(".txt", ".caption", ".json", ".jsonl", ".ndjson", ".geojson", ".csv", ".tsv", ".parquet", ".xml", ".xmp"),
        *(".yaml", ".yml", ".toml", ".ini", ".md", ".html", ".log", ".npy", ".npz", ".pkl", ".db", ".aae", ".lnk"),
        *(".url", ".sh", ".py"),
    }
)
AS_PICTURES = "convert them to TIFF, PNG or JPEG first"


def is_left_out(name: str) -> bool:
    """True if a file or folder of this name is passed over without a word: hidden, filled by a machine, or records.

    The records of dog.jpg lie in dog.jpg.cleanplate, where it is the one result of a picture.
    """
    of = name.removesuffix(RECORDS_OF_ONE)
    return name.startswith(".") or name.lower() in FILLED_BY_MACHINES or (of != name and bool(PurePath(of).suffix))


def count(unread: Counter[str], name: str) -> None:
    """Count a file that is no picture by its suffix, unless it is of a kind that lies beside pictures."""
    suffix = PurePath(name).suffix.lower()
    if suffix and suffix not in BESIDE_PICTURES:
        unread[suffix] += 1


def in_words(unread: Counter[str]) -> str:
    """Such as "12 .cr2, 3 .dng": the most first."""
    return ", ".join(f"{number} {suffix}" for suffix, number in sorted(unread.items(), key=lambda of: (-of[1], of[0])))
