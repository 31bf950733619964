"""Work beside the model: threads read pictures before it needs them and write them after, in order, within bounds.

Threads are enough, since Pillow, OpenCV and hashlib release the interpreter's lock. The model itself stays in the
caller's thread, which Ctrl-C can end.
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

MOST = 8  # threads; each may hold a half-decoded picture


@contextmanager
def threads() -> Iterator[Executor]:
    """Threads for `ahead`. They end with the block; work not begun by then is dropped."""
    pool = ThreadPoolExecutor(max(2, min(MOST, os.cpu_count() or 1)))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def ahead(pool: Executor, work: Callable[[Given], Made], source: Iterable[Given], depth: int) -> Iterator[Made]:
    """Apply `work` to everything in `source`, in order.

    Up to `depth` items are in progress or finished while the caller uses one, and while `source` makes the next. An
    error of `work` is raised in place of its result, and no more is begun. An error of `source`, such as Ctrl-C, is
    raised after the results of its earlier items, which are finished and must not be lost.
    """
    begun: deque[Future[Made]] = deque()
    given, ended = iter(source), None
    try:
        while ended is None:
            try:
                begun.append(pool.submit(work, next(given)))
            except BaseException as error:  # usually StopIteration
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
    """Apply `work` to all items of a `kind` in every `size` of `source` together. Others pass through in order."""
    while group := list(islice(source, size)):
        made = iter(work([one for one in group if isinstance(one, kind)]))
        for one in group:
            yield next(made) if isinstance(one, kind) else cast(Other, one)
