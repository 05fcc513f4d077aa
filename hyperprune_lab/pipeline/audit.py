"""The audit: with every mask in place, how much error does each linear inherit, and how much does it add?

Runs on the held-out sequences, dense and pruned stream side by side. Knows nothing about methods.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from torch import Tensor

from hyperprune_lab.events import (
    BlockFinished,
    BlockStarted,
    Event,
    ModuleMeasured,
    StageFinished,
    StageStarted,
)
from hyperprune_lab.models.inputs import record_inputs
from hyperprune_lab.pipeline.dense import DenseStreams
from hyperprune_lab.pipeline.environment import peak_memory
from hyperprune_lab.pipeline.evidence import propagation, total_error
from hyperprune_lab.pipeline.gather import Stream
from hyperprune_lab.pipeline.state import RunState
from hyperprune_lab.pipeline.subject import Subject

STAGE = "audit"
_SEQUENCES = 8


@torch.no_grad()
def audit(subject: Subject, streams: DenseStreams, state: RunState) -> Iterator[Event]:
    """Measure the propagation of error through the masked model, original weights.

    Where a compensation has made other weights, ``error_rel_compensated`` is what is left of the total with them.
    """
    started = time.monotonic()
    dense = pruned = mended = Stream.start(subject, streams.judging.ids[:_SEQUENCES])
    masks, weights = state.masks["final"], state.weights.get("final", {})
    yield StageStarted(STAGE, len(subject.blocks))
    for block, linears in enumerate(subject.linears):
        block_started = time.monotonic()
        yield BlockStarted(STAGE, block)
        dense_inputs, dense = _inputs(subject, block, dense)
        here = {linear.name: masks[linear.name] for linear in linears if linear.name in masks}
        subject.apply_masks(here)
        pruned_inputs, pruned = _inputs(subject, block, pruned)
        subject.restore(block)
        mended_inputs: dict[str, Tensor] = {}
        if weights:
            prefix = subject.blocks.prefix(block) + "."
            subject.apply_weights({name: value for name, value in weights.items() if name.startswith(prefix)})
            mended_inputs, mended = _inputs(subject, block, mended)
            subject.restore(block)
        for linear in linears:
            if linear.name not in here:
                continue
            weight = subject.dense_weight(linear)
            parts = propagation(
                weight, weight * here[linear.name], dense_inputs[linear.name], pruned_inputs[linear.name]
            )
            scalars = parts.scalars()
            if linear.name in mended_inputs:
                stored = weights[f"{linear.name}.weight"]
                scalars["error_rel_compensated"] = total_error(
                    weight,
                    stored.T if linear.transposed else stored,
                    dense_inputs[linear.name],
                    mended_inputs[linear.name],
                )
            yield ModuleMeasured(STAGE, block, linear.name, scalars)
        yield BlockFinished(STAGE, block, time.monotonic() - block_started, peak_memory(subject.device))
    yield StageFinished(STAGE, time.monotonic() - started)


def _inputs(subject: Subject, block: int, stream: Stream) -> tuple[dict[str, Tensor], Stream]:
    found: dict[str, list[Tensor]] = {}

    def sink(_key: str, names: tuple[str, ...], x: Tensor) -> None:
        for name in names:
            found.setdefault(name, []).append(x)

    with record_inputs(list(subject.linears[block]), sink):
        after = stream.through(block)
    return {name: torch.cat(parts) for name, parts in found.items()}, after
