"""From logits to soft and hard n:m choices, differentiably.

Two parameterizations behind one class: one logit per legal pattern (categorical, Gumbel-Softmax) where a group has
at most 128 patterns, else one logit per position (relaxed top-n without replacement).
Knows nothing about networks, weights or losses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hyperprune_lab.patterns import NMPattern


def gumbel_noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard Gumbel noise of the shape of ``like``, drawn on the generator's device, so that seeds travel."""
    uniform = torch.rand(like.shape, generator=generator, device=generator.device, dtype=torch.float32)
    noise = -torch.log(-torch.log(uniform.clamp_(1e-10, 1.0 - 1e-7)))
    return noise.to(like.device, like.dtype)


@dataclass(frozen=True)
class Choice:
    """A relaxed choice: expected or sampled keep-weights, and probabilities where patterns are enumerated."""

    keep: Float[Tensor, "... group"]
    probabilities: Float[Tensor, "... patterns"] | None


def softmax(scores: Float[Tensor, "... outputs"]) -> Float[Tensor, "... outputs"]:
    """Softmax over the last axis; with few outputs and many groups torch is ten times as quick along the first axis."""
    return torch.softmax(scores.movedim(-1, 0).contiguous(), 0).movedim(0, -1)


def log_softmax(scores: Float[Tensor, "... outputs"]) -> Float[Tensor, "... outputs"]:
    """Logarithm of :func:`softmax`."""
    return torch.log_softmax(scores.movedim(-1, 0).contiguous(), 0).movedim(0, -1)


def _log_left(draw: Float[Tensor, "... group"]) -> Float[Tensor, "... group"]:
    """log(1 - draw), exact also where a draw is 1 to rounding.

    There 1 - draw is summed from the other positions: a position that leads by far would else not be suppressed
    enough, and be drawn again.
    """
    leads = draw > 0.5
    others = draw.masked_fill(leads, 0.0).sum(-1, keepdim=True)
    return torch.where(leads, others, 1.0 - draw).clamp_min(1e-30).log()


class PatternHead:
    """Reads logits as a choice among the legal patterns of a group.

    ``outputs`` is the number of logits per group: the pattern count (2:4 has 6) or, beyond 128 patterns, the group
    size. The relaxed top-n is the subset sampling of RoI (arXiv 2608.23048): n soft draws, each suppressing what the
    earlier ones took.
    """

    def __init__(self, pattern: NMPattern, device: torch.device | str = "cpu") -> None:
        self.pattern = pattern
        self.categorical = pattern.enumerable
        self.outputs = pattern.count if self.categorical else pattern.group
        self.table: Float[Tensor, "patterns group"] | None = None
        if self.categorical:
            self.table = torch.tensor(pattern.table(), dtype=torch.float32, device=device)

    def choose(
        self, logits: Float[Tensor, "... outputs"], temperature: float, noise: Tensor | None = None
    ) -> Choice:
        """Soft choice at ``temperature`` (> 0); with ``noise`` a Gumbel sample, without it the mean-field choice."""
        scores = logits if noise is None else logits + noise
        if self.table is not None:
            probabilities = softmax(scores / temperature)
            return Choice(probabilities @ self.table.to(probabilities.dtype), probabilities)
        total = torch.zeros_like(scores)
        remaining = scores
        for _ in range(self.pattern.keep):
            draw = softmax(remaining / temperature)
            total = total + draw
            remaining = remaining + _log_left(draw)
        return Choice(total, None)

    def log_probabilities(self, logits: Float[Tensor, "... outputs"]) -> Float[Tensor, "... outputs"]:
        """Log-probabilities at temperature 1: of patterns, or of the first draw's position."""
        return log_softmax(logits)

    def entropy_share(self, logits: Float[Tensor, "... outputs"]) -> Float[Tensor, "..."]:
        """Entropy as a share of its maximum, log(outputs): 1 is undecided, 0 is decided."""
        log_p = self.log_probabilities(logits)
        return -(log_p.exp() * log_p).sum(-1) / math.log(self.outputs)

    def hard_ids(self, logits: Float[Tensor, "... outputs"]) -> Int[Tensor, "..."]:
        """Id of the most likely pattern (lexicographic rank)."""
        if self.categorical:
            return logits.argmax(-1)
        return self.pattern.ids(self.pattern.project(logits))[..., 0].long()

    def hard_mask(self, logits: Float[Tensor, "rows groups outputs"]) -> Bool[Tensor, "rows in"]:
        """The mask that the most likely patterns spell out, groups joined along the input dimension."""
        if self.table is not None:
            return self.table.bool()[logits.argmax(-1)].flatten(-2)
        return self.pattern.project(logits).flatten(-2)
