"""What is asked of single pictures beside the job, kept in the manifest: what was clicked, and other settings."""

from __future__ import annotations

import json
import os
import sqlite3
from typing import Any

SCHEMA = "create table if not exists clicked (name blob primary key, points text, boxes text);"


def click(file: sqlite3.Connection, name: str, points: tuple, boxes: tuple) -> None:
    """Remember where a picture's object is, for its redo; without any points and boxes, forget it."""
    file.execute("delete from clicked where name = ?", (os.fsencode(name),))
    if points or boxes:
        row = (os.fsencode(name), json.dumps(points), json.dumps(boxes))
        file.execute("insert into clicked values (?, ?, ?)", row)


def clicks(file: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    """The points and boxes of every picture that has some, by name."""
    found = file.execute("select name, points, boxes from clicked")
    return {os.fsdecode(name): {"points": json.loads(p), "boxes": json.loads(b)} for name, p, b in found}
