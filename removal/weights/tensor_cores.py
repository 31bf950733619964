"""Matrix products of float32 on a GPU's tensor cores, which round their factors to ten bits of mantissa (TF32).

Measured on one H100: Grounding DINO at 42 pictures a second instead of 28. Convolutions have TF32 by torch's default.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_changing = threading.Lock()
_inside = 0  # scopes that are open, in all threads: torch has one setting for all
_before = False


@contextmanager
def tensor_cores() -> Iterator[None]:
    """A block in which float32 on CUDA is multiplied as TF32; the setting is restored when the last block of all
    threads ends. Nothing changes on a CPU.
    """
    global _inside, _before
    import torch

    matmul = torch.backends.cuda.matmul
    with _changing:
        if not _inside:
            _before, matmul.allow_tf32 = matmul.allow_tf32, True
        _inside += 1
    try:
        yield
    finally:
        with _changing:
            _inside -= 1
            if not _inside:
                matmul.allow_tf32 = _before


def on_tensor_cores(work: Callable[..., Any]) -> Callable[..., Any]:
    """The same work, in that scope."""

    def scoped(*given: Any, **named: Any) -> Any:
        with tensor_cores():
            return work(*given, **named)

    return scoped
