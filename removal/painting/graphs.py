"""A step of the UNet as one CUDA graph: launched at once, instead of some 730 kernels one by one from Python.

Launching them takes as long as they compute, and longer where other threads want the interpreter (measured on one H100:
a batch of 16 took 1.5 s alone and up to 2.4 s beside the threads of a run; the step itself 2.79 ms a row in a graph and
3.47 without). Compiled networks are put into a graph too, so that there is one way: inductor's own graphs
(`reduce-overhead`) belong to the thread that made them, and a run paints from several.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from removal.painting.painter import Painter

Tensors = list[torch.Tensor]
Work = Callable[[Tensors], Any]
Record = Callable[[Work, Tensors], Work]  # what works as the given, on tensors of the same shapes alone
WARM_UP = 3  # calls before it is recorded, in which libraries choose their kernels and take their memory


class RecordedStep:
    """Calls of a network; those for a whole batch are recorded once and then replayed.

    Short batches, of which a run has few, are called as usual: a graph for each size would take the memory of a batch
    each, and to fill them up would take the time of a whole one. If recording fails, all calls are as usual, after a
    warning.
    """

    def __init__(self, call: Callable[..., Any], rows: int, record: Record):
        self.call, self.rows, self.record = call, rows, record
        self.replay: Work | None = None
        self.key: Any = None
        self.given_up = False

    def __call__(self, sample: torch.Tensor, *given: Any, **named: Any) -> Any:
        if self.given_up or len(sample) != self.rows:
            return self.call(sample, *given, **named)
        values, structure = tree_flatten(((sample, *given), named))
        tensors = [one for one in values if isinstance(one, torch.Tensor)]
        key = (structure, [_about(one) for one in values])
        if self.replay is None:
            self._try_to_record(values, structure, tensors)
            self.key = key
        if self.replay is None or key != self.key:
            return self.call(sample, *given, **named)
        return self.replay(tensors)

    def release(self) -> None:
        """Give back the memory of the recording; from now on calls are as usual."""
        self.replay, self.given_up = None, True

    def _try_to_record(self, values: list[Any], structure: Any, tensors: Tensors) -> None:
        def work(own: Tensors) -> Any:
            tensor = iter(own)
            filled = [next(tensor) if isinstance(one, torch.Tensor) else one for one in values]
            given, named = tree_unflatten(filled, structure)
            return self.call(*given, **named)

        try:
            self.replay = self.record(work, tensors)
        except RuntimeError as error:  # of CUDA, which names what cannot be recorded, or has too little memory
            self.release()
            line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            warnings.warn(f"the model runs without a CUDA graph, which is slower: {line}", stacklevel=2)


def with_graph(paint: Painter, batch: int, record: Record) -> Painter:
    """The painter, with the steps of batches of `batch` crops replayed from a recording made of the first."""
    unet = paint.pipeline.unet
    guided = paint.guidance > 1 and "negative_prompt_embeds" in paint.prompt_embeddings
    rows = 2 * batch if guided and unet.config.time_cond_proj_dim is None else batch
    step = RecordedStep(unet._compiled_call_impl or unet._call_impl, rows, record)
    unet._compiled_call_impl = step  # which torch calls in place of the network's own code
    return replace(paint, recorded=step)


def cuda_graph(work: Work, tensors: Tensors) -> Work:
    """Work on CUDA recorded as a graph, on tensors of its own, into which those of every call are copied.

    Raises RuntimeError for work that cannot be recorded. Other threads may use the device meanwhile.
    """
    with torch.cuda.device(tensors[0].device):
        own, stream, graph = [one.clone() for one in tensors], torch.cuda.Stream(), torch.cuda.CUDAGraph()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                work(own)
        torch.cuda.current_stream().wait_stream(stream)
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            made = work(own)

    def replay(given: Tensors) -> Any:
        for mine, one in zip(own, given, strict=True):
            mine.copy_(one)
        graph.replay()
        return tree_map(lambda one: one.clone() if isinstance(one, torch.Tensor) else one, made)

    return replay


def _about(value: Any) -> Any:
    """The facts that must match for a recording to be used: the kind of a tensor, or the value of anything else."""
    return (value.shape, value.dtype, value.device) if isinstance(value, torch.Tensor) else value
