"""Counts in messages, such as "1 picture" and "2 pictures"."""

from __future__ import annotations


def many(number: int, thing: str) -> str:
    """A number of things, with a plural in s unless it is one."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
