"""One pass of a stream through one block: the statistics of every distinct input, and the hidden states that leave.

Knows nothing about methods; streams are stacks of hidden states ``[sequences, window, hidden]``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hyperprune_lab.calibration.statistics import InputStatistics, StatisticsAccumulator
from hyperprune_lab.models.inputs import record_inputs
from hyperprune_lab.models.stream import BlockStream
from hyperprune_lab.pipeline.subject import Subject

Hidden = Float[Tensor, "sequences window hidden"]
BATCH = 16


@dataclass(frozen=True, eq=False)
class Stream:
    """A set of token windows on its way through the blocks; ``hidden`` are the inputs of the next block."""

    calls: BlockStream
    ids: Int[Tensor, "sequences window"]
    hidden: Hidden

    @classmethod
    def start(cls, subject: Subject, ids: Int[Tensor, "sequences window"]) -> Stream:
        """The inputs of block 0."""
        ids = ids.to(subject.device)
        calls = BlockStream.capture(subject.opened.model, subject.blocks, ids, BATCH)
        hidden = torch.cat(calls.hidden)
        calls.hidden.clear()
        return cls(calls, ids, hidden)

    def forward(
        self, block: int, hidden: Float[Tensor, "b window hidden"]
    ) -> Float[Tensor, "b window hidden"]:
        """What block ``block`` makes of up to all sequences at once; gradients flow."""
        size = len(hidden)
        if (0, size) not in self.calls.calls:
            other = BlockStream.capture(self.calls.model, self.calls.blocks, self.ids[:size], size)
            self.calls.calls.update(other.calls)
        return self.calls.forward(block, hidden)

    @torch.no_grad()
    def through(self, block: int) -> Stream:
        """The stream after block ``block``, as its weights now stand."""
        parts = [self.forward(block, part) for part in self.hidden.split(BATCH)]
        return Stream(self.calls, self.ids, torch.cat(parts))

    def __len__(self) -> int:
        return len(self.hidden)


@dataclass(frozen=True, eq=False)
class BlockInputs:
    """Statistics of a block's distinct inputs: by linear name, and by input key with the linears that share it."""

    by_linear: dict[str, InputStatistics]
    readers: dict[str, tuple[str, ...]]


def gather(subject: Subject, block: int, stream: Stream) -> tuple[BlockInputs, Stream]:
    """Statistics of the block's inputs, and the stream behind the block.

    Raises ``UserError`` naming the input where activations are not finite.
    """
    accumulators: dict[str, StatisticsAccumulator] = {}
    readers: dict[str, tuple[str, ...]] = {}

    def sink(key: str, names: tuple[str, ...], x: Tensor) -> None:
        if key not in accumulators:
            accumulators[key] = StatisticsAccumulator(
                x.shape[-1], x.device, f"{subject.blocks.prefix(block)}.{key}"
            )
            readers[key] = names
        accumulators[key].add(x)

    with record_inputs(list(subject.linears[block]), sink):
        after = stream.through(block)
    finished = {key: accumulator.finish() for key, accumulator in accumulators.items()}
    by_linear = {name: finished[key] for key, names in readers.items() for name in names}
    return BlockInputs(by_linear, readers), after
