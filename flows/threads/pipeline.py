"""Work beside the model: pictures are read before it needs them and written after, in threads, in order, within bounds.

Threads are enough, since Pillow, OpenCV and hashlib work without the interpreter's lock. The model itself stays in the
thread of the caller, which Ctrl-C can end.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar, cast

Given = TypeVar("Given")
Made = TypeVar("Made")
Other = TypeVar("Other")

MOST = 8  # threads; each may hold a picture that is half decoded


@contextmanager
def threads() -> Iterator[Executor]:
    """Threads for `ahead`. They have ended when the block has; what was not begun by then is left."""
    pool = ThreadPoolExecutor(max(2, min(MOST, os.cpu_count() or 1)))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def ahead(pool: Executor, work: Callable[[Given], Made], source: Iterable[Given], depth: int) -> Iterator[Made]:
    """`work` on everything in `source`, in its order. Up to `depth` of them are worked on or wait while the caller has
    another, and while `source` makes the next.

    What `work` raises is raised in the place of its result, and no more is begun. What `source` raises, Ctrl-C in it
    too, comes after the results of what it gave before: these are finished, and nobody should lose them.
    """
    begun: deque[Future[Made]] = deque()
    given, ended = iter(source), None
    try:
        while ended is None:
            try:
                begun.append(pool.submit(work, next(given)))
            except BaseException as error:  # StopIteration, mostly
                ended = error
            while len(begun) > (depth if ended is None else 0):
                yield begun.popleft().result()
    finally:
        wait([one for one in begun if not one.cancel()])
    if not isinstance(ended, StopIteration):
        raise ended


def in_groups(
    source: Iterator[Given | Other], size: int, kind: type[Given], work: Callable[[list[Given]], Iterable[Made]]
) -> Iterator[Made | Other]:
    """What `work` makes of all of a `kind` in every `size` of `source`, together. Others pass by in their place."""
    while group := list(islice(source, size)):
        made = iter(work([one for one in group if isinstance(one, kind)]))
        for one in group:
            yield next(made) if isinstance(one, kind) else cast(Other, one)
