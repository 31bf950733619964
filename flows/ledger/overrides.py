"""Overrides of the job for single pictures, kept in the manifest: clicks, a redo's settings, a redo's plan."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

SCHEMA = """
create table if not exists clicks (name blob primary key, points text, boxes text, used integer);
create table if not exists redone (name blob primary key, attempts integer, settings text);
create table if not exists planned (name blob primary key, task text);
"""
TABLES = ("clicks", "redone", "planned")


@dataclass(frozen=True)
class Override:
    """The overrides of one picture: its clicks, True if a redo has used them, and the redo's settings.

    `attempts` counts all that were made, published or not.
    """

    points: list = field(default_factory=list)
    boxes: list = field(default_factory=list)
    used: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    attempts: int = 0

    @property
    def clicked(self) -> bool:
        return bool(self.points or self.boxes)

    @property
    def pending(self) -> bool:
        """True if somebody clicked since the picture was done."""
        return self.clicked and not self.used


def click(file: sqlite3.Connection, name: str, points: tuple, boxes: tuple) -> None:
    """Remember where a picture's object is, for its redo; without points and boxes, forget unused clicks."""
    key = os.fsencode(name)
    if points or boxes:
        row = (key, json.dumps(points), json.dumps(boxes), False)
        file.execute("insert or replace into clicks values (?, ?, ?, ?)", row)
    else:
        file.execute("delete from clicks where name = ? and not used", (key,))


def unclick(file: sqlite3.Connection, name: str) -> None:
    """Forget where a picture was clicked, also where a redo has used that: its mask is drawn by hand now."""
    file.execute("delete from clicks where name = ?", (os.fsencode(name),))


def overrides(file: sqlite3.Connection) -> dict[str, Override]:
    """The overrides of all pictures that have any, by name."""
    found = {os.fsdecode(name): Override(settings=json.loads(s), attempts=n) for name, n, s in _all(file, "redone")}
    for name, points, boxes, used in _all(file, "clicks"):
        kept = found.get(os.fsdecode(name), Override())
        found[os.fsdecode(name)] = Override(
            json.loads(points), json.loads(boxes), bool(used), kept.settings, kept.attempts
        )
    return found


def void(file: sqlite3.Connection, name: str) -> None:
    """Forget a picture's overrides, since the job has done it anew."""
    for table in TABLES:
        file.execute(f"delete from {table} where name = ?", (os.fsencode(name),))


def plan(file: sqlite3.Connection, task: str, names: Iterable[str]) -> None:
    """Note what a redo has to do, in place of an unfinished earlier plan."""
    with file:
        file.execute("delete from planned")
        file.executemany("insert into planned values (?, ?)", [(os.fsencode(name), task) for name in names])


def planned(file: sqlite3.Connection, task: str) -> set[str]:
    """The remaining plan of an interrupted redo."""
    return {os.fsdecode(name) for name, of in _all(file, "planned") if of == task}


def done(file: sqlite3.Connection, name: str, attempts: int, settings: dict[str, Any]) -> None:
    """Note that a picture was done again, with these settings in addition to the job's."""
    key = os.fsencode(name)
    file.execute("delete from planned where name = ?", (key,))
    file.execute("insert or replace into redone values (?, ?, ?)", (key, attempts, json.dumps(settings)))


def use(file: sqlite3.Connection, name: str) -> None:
    """Note that the published result is the one of the clicks."""
    file.execute("update clicks set used = true where name = ?", (os.fsencode(name),))


def _all(file: sqlite3.Connection, table: str) -> list[tuple]:
    return file.execute(f"select * from {table}").fetchall()
