"""Files of a source that are not read: in folders that machines fill, and of kinds that do not go with pictures."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePath

# Synology's thumbnails, the bins of network drives and of Windows, and what macOS adds to archives.
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
    """True if a file or folder of this name is ignored silently: hidden, filled by a machine, or records.

    The records of a single result dog.jpg are in dog.jpg.cleanplate.
    """
    of = name.removesuffix(RECORDS_OF_ONE)
    return name.startswith(".") or name.lower() in FILLED_BY_MACHINES or (of != name and bool(PurePath(of).suffix))


def count(unread: Counter[str], name: str) -> None:
    """Count a file that is not a picture by its suffix, unless it is of a kind that goes with pictures."""
    suffix = PurePath(name).suffix.lower()
    if suffix and suffix not in BESIDE_PICTURES:
        unread[suffix] += 1


def in_words(unread: Counter[str]) -> str:
    """The counts in words, the most first, such as "12 .cr2, 3 .dng"."""
    return ", ".join(f"{number} {suffix}" for suffix, number in sorted(unread.items(), key=lambda of: (-of[1], of[0])))
