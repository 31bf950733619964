"""doctor: whether this machine can do the job."""

from __future__ import annotations


def doctor() -> int:
    """Check the machine: each problem with its fix."""
    from flows.doctor import examine

    problems = 0
    for name, ok, words in examine():
        print(f"{'ok  ' if ok else 'FIX '} {name}: {words}")
        problems += not ok
    return 3 if problems else 0
