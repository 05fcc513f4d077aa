"""Gradients by weight that some methods score with: of the model's loss, or of one block's output norm.

Knows nothing about scores. Each is taken sequence by sequence in the dense model and averaged in fp32; the generators
yield after every sequence, so that a run can be paused in between.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from hyperprune_lab.models.linears import PrunableLinear
from hyperprune_lab.pipeline.gather import Stream
from hyperprune_lab.pipeline.subject import Subject

ByLinear = dict[str, Float[Tensor, "out in"]]


def loss_gradients(subject: Subject, stream: Stream) -> Generator[None, None, ByLinear]:
    """Mean over sequences of ``|d loss / d W|``, loss being the next token's cross-entropy (Pruner-Zero's L1)."""
    linears = list(subject.by_name.values())

    def loss(sequence: int) -> Tensor:
        hidden = stream.hidden[sequence : sequence + 1]
        for block in range(len(subject.blocks)):
            hidden = stream.forward(block, hidden)
        logits = stream.calls.finish(hidden)[0, :-1]
        return cross_entropy(logits.float(), stream.ids[sequence, 1:].to(logits.device))

    total = yield from _summed(linears, len(stream), loss, torch.abs)
    return {name: value / len(stream) for name, value in total.items()}


def regional_gradients(subject: Subject, block: int, stream: Stream) -> Generator[None, None, ByLinear]:
    """Root mean square over sequences of ``d ||f(X)||_2 / d W``, f being the block (Wanda++, arXiv 2503.04992).

    Divided by the root of the tokens in a sequence, so that it stands beside an RMS over tokens as the publication's
    stands beside a norm over a sequence.
    """

    def loss(sequence: int) -> Tensor:
        after = stream.forward(block, stream.hidden[sequence : sequence + 1])
        return after.float().norm() / after.shape[1] ** 0.5

    total = yield from _summed(subject.linears[block], len(stream), loss, torch.square)
    return {name: (value / len(stream)).sqrt() for name, value in total.items()}


def _summed(
    linears: Sequence[PrunableLinear],
    sequences: int,
    loss: Callable[[int], Tensor],
    of: Callable[[Tensor], Tensor],
) -> Generator[None, None, ByLinear]:
    """The sum over sequences of ``of(gradient)``, by linear."""
    total = {linear.name: torch.zeros_like(linear.weight(), dtype=torch.float32) for linear in linears}
    for sequence in range(sequences):
        with _tracked(linears) as weights:
            gradients = torch.autograd.grad(loss(sequence), weights, allow_unused=True)
        for linear, gradient in zip(linears, gradients, strict=True):
            if gradient is not None:  # an expert that no token was sent to
                total[linear.name] += of((gradient.T if linear.transposed else gradient).float())
        yield
    return total


@contextmanager
def _tracked(linears: Sequence[PrunableLinear]) -> Iterator[list[Tensor]]:
    """The stored weights of these linears, which require gradients inside the ``with`` statement."""
    weights = [linear.module.get_parameter("weight") for linear in linears]
    try:
        for weight in weights:
            weight.requires_grad_(True)
        yield list(weights)
    finally:
        for weight in weights:
            weight.requires_grad_(False)
