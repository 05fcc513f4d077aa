"""Random linears with correlated inputs, for the tests of pruning methods.

Knows nothing about the methods.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hyperprune_lab.calibration.statistics import InputStatistics, StatisticsAccumulator
from hyperprune_lab.methods.base import BlockProblem, LinearProblem
from hyperprune_lab.patterns import NMPattern

PATTERNS = ("1:4", "2:4", "3:4", "2:8", "4:8", "8:16")


def inputs(channels: int, tokens: int, seed: int = 0, dead: tuple[int, ...] = ()) -> Tensor:
    """``x[tokens, channels]``: a few strong directions, channels of different size, some of them dead."""
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.arange(1, channels + 1).float() ** -0.5
    directions = torch.linalg.qr(torch.randn(channels, channels, generator=generator))[0]
    x = (torch.randn(tokens, channels, generator=generator) * spectrum) @ directions
    x *= torch.exp(0.7 * torch.randn(channels, generator=generator))
    x[:, list(dead)] = 0
    return x


def linear(
    pattern: str = "2:4",
    out: int = 24,
    channels: int = 48,
    tokens: int = 200,
    seed: int = 0,
    dead: tuple[int, ...] = (),
    name: str = "blocks.0.mlp.up",
) -> LinearProblem:
    """A linear to prune, with statistics of `inputs`."""
    generator = torch.Generator().manual_seed(1000 + seed)
    weight = torch.randn(out, channels, generator=generator)
    accumulator = StatisticsAccumulator(channels)
    accumulator.add(inputs(channels, tokens, seed, dead))
    return LinearProblem(
        name, "mlp.up", "mlp.up", 0, weight, accumulator.finish(), None, NMPattern.parse(pattern)
    )


def block(*linears: LinearProblem) -> BlockProblem:
    return BlockProblem(0, 1, linears)


def rescaled(problem: LinearProblem, factors: Tensor) -> LinearProblem:
    """The same function: inputs times ``factors[channels]``, weights divided by them."""
    old = problem.statistics
    new = InputStatistics(
        old.gram * factors[:, None] * factors, old.mean * factors, old.variance * factors**2, old.tokens
    )
    return LinearProblem(
        problem.name,
        problem.local,
        problem.component,
        problem.block,
        problem.weight / factors,
        new,
        None,
        problem.pattern,
    )


def powers_of_two(channels: int, seed: int = 0) -> Tensor:
    """Factors from 1/32 to 32 that multiply without rounding."""
    generator = torch.Generator().manual_seed(seed)
    return 2.0 ** torch.randint(-5, 6, (channels,), generator=generator)


def row_losses(weight: Tensor, pruned: Tensor, gram: Tensor) -> Tensor:
    """``(w - p) H (w - p)^T`` of each row, float64."""
    lost = (weight - pruned).double()
    return ((lost @ gram.double()) * lost).sum(1)
