"""Small linears, contexts and choosers for the tests of the hypernetwork.

Knows nothing of what is tested with them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from hyperprune_lab.calibration.statistics import InputStatistics, StatisticsAccumulator
from hyperprune_lab.hypernet.chooser import Chooser, ChooserSettings
from hyperprune_lab.hypernet.context import build_context, inverse_diagonal
from hyperprune_lab.hypernet.features import LinearContext
from hyperprune_lab.methods.base import LinearProblem
from hyperprune_lab.patterns import NMPattern
from tests.methods.problems import inputs

COMPONENTS = ("down", "up")
TINY = ChooserSettings(hidden=12, depth=3, embedding=4)


def gathered(x: Tensor) -> InputStatistics:
    """Statistics of ``x[tokens, channels]``."""
    accumulator = StatisticsAccumulator(x.shape[1])
    accumulator.add(x)
    return accumulator.finish()


def problem(
    pattern: str = "2:4",
    out: int = 10,
    channels: int = 16,
    seed: int = 0,
    block: int = 0,
    component: str = "up",
    dead: tuple[int, ...] = (),
) -> LinearProblem:
    """A linear with correlated inputs; the held-out statistics are of other tokens of the same kind."""
    x = inputs(channels, 240, seed, dead)
    weight = torch.randn(out, channels, generator=torch.Generator().manual_seed(500 + seed))
    return LinearProblem(
        name=f"model.layers.{block}.mlp.{component}",
        local=f"mlp.{component}",
        component=component,
        block=block,
        weight=weight,
        statistics=gathered(x[:160]),
        heldout=gathered(x[160:]),
        pattern=NMPattern.parse(pattern),
    )


def random_mask(like: LinearProblem, seed: int = 0) -> Tensor:
    """Any legal mask."""
    score = torch.rand(like.weight.shape, generator=torch.Generator().manual_seed(seed))
    return like.pattern.project(score)


def context(of: LinearProblem, prior: Tensor | None = None) -> LinearContext:
    """The context of a linear at ``prior``, or at a random mask."""
    mask = random_mask(of) if prior is None else prior
    return build_context(of, mask, inverse_diagonal(of.statistics))


def chooser(*patterns: str, blocks: int = 3, seed: int = 0, **settings: Any) -> Chooser:
    """A tiny chooser for both components."""
    parsed = [NMPattern.parse(text) for text in patterns or ("2:4",)]
    return Chooser(replace(TINY, **settings), parsed, blocks, COMPONENTS, seed=seed)


def perturb(module: torch.nn.Module, size: float, seed: int = 1) -> None:
    """Add noise to every parameter, so that a network answers something."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += size * torch.randn(parameter.shape, generator=generator)
