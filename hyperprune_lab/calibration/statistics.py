"""What a linear's input looks like over the calibration tokens: moments, outlier channels, condition.

Knows nothing about models, hooks or pruning methods: tensors come in, one frozen object comes out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hyperprune_lab.errors import UserError

CHUNK_ELEMENTS = 1 << 24  # fp32 working copy of at most 64 MiB, whatever the batch


@contextmanager
def full_precision() -> Iterator[None]:
    """Multiply fp32 matrices in fp32 on CUDA (no TF32) inside the block; the previous setting comes back."""
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = "ieee"
    try:
        yield
    finally:
        matmul.fp32_precision = before


def group_blocks(gram: Float[Tensor, "in in"], group: int) -> Float[Tensor, "groups group group"]:
    """The ``group`` x ``group`` blocks on the diagonal of H, one per group of input channels."""
    groups = len(gram) // group
    which = torch.arange(groups, device=gram.device)
    return gram.reshape(groups, group, groups, group)[which, :, which]


@dataclass(frozen=True, eq=False)
class InputStatistics:
    """Moments of one distinct input, shared by every linear that reads it.

    ``gram`` is ``H = E[x x^T]`` (fp32, not centered, exactly symmetric); ``mean`` and ``variance`` are per
    channel (fp32, population variance); ``tokens`` counts the token vectors behind them.
    """

    gram: Float[Tensor, "in in"]
    mean: Float[Tensor, " in"]
    variance: Float[Tensor, " in"]
    tokens: int

    @property
    def in_features(self) -> int:
        return self.gram.shape[0]

    @property
    def rms(self) -> Float[Tensor, " in"]:
        """Root mean square of each channel: the square root of the diagonal of H."""
        return self.gram.diagonal().clamp_min(0).sqrt()

    @property
    def dead(self) -> Bool[Tensor, " in"]:
        """Channels that were zero on every token."""
        return self.gram.diagonal() <= 0

    @property
    def rank_deficient(self) -> bool:
        """Fewer tokens than channels: H cannot have full rank and every solver has to damp it."""
        return self.tokens < self.in_features

    def outliers(self, threshold: float = 6.0) -> Bool[Tensor, " in"]:
        """Channels whose RMS is at least ``threshold`` times the median RMS.

        Where the median is zero (more than half of the channels are dead) it is taken over the live ones; an
        input that is zero throughout has no outliers.
        """
        rms = self.rms
        median = rms.quantile(0.5)
        if median == 0:
            live = rms[rms > 0]
            if not len(live):
                return torch.zeros_like(rms, dtype=torch.bool)
            median = live.quantile(0.5)
        return rms >= threshold * median

    def condition(self) -> float:
        """Ratio of the extreme eigenvalues of H scaled to unit diagonal (float64); inf where H is singular.

        The scaling removes what a mere change of units per channel would do. Singular means: a dead channel,
        fewer tokens than channels, or a smallest eigenvalue under the fp32 rounding of the largest.
        """
        if self.rank_deficient or bool(self.dead.any()):
            return float("inf")
        scale = self.gram.diagonal().double().rsqrt()
        eigenvalues = torch.linalg.eigvalsh(self.gram.double() * scale[:, None] * scale)
        smallest, largest = eigenvalues[0].item(), eigenvalues[-1].item()
        return largest / smallest if smallest > torch.finfo(torch.float32).eps * largest else float("inf")

    def energy(self, weight: Float[Tensor, "out in"]) -> float:
        """``tr(W H W^T)``: mean over tokens of the squared norm of the linear's output (without bias)."""
        with full_precision():
            weight = weight.to(self.gram)
            return ((weight @ self.gram) * weight).sum(dtype=torch.float64).item()

    def merge(self, other: InputStatistics) -> InputStatistics:
        """The statistics of both sets of tokens together, as if they had been gathered in one pass."""
        if self.in_features != other.in_features:
            raise ValueError(f"cannot merge inputs of {self.in_features} and {other.in_features} channels")
        tokens = self.tokens + other.tokens
        share = other.tokens / tokens
        shift = other.mean.to(self.mean) - self.mean
        return InputStatistics(
            gram=torch.lerp(self.gram, other.gram.to(self.gram), share),
            mean=self.mean + share * shift,
            variance=torch.lerp(self.variance, other.variance.to(self.variance), share)
            + share * (1 - share) * shift.square(),
            tokens=tokens,
        )

    def to(self, device: torch.device | str) -> InputStatistics:
        """The same statistics on another device."""
        gram, mean, variance = (tensor.to(device) for tensor in (self.gram, self.mean, self.variance))
        return InputStatistics(gram, mean, variance, self.tokens)

    def tensors(self) -> dict[str, Tensor]:
        """A plain dictionary of tensors, for a checkpoint; `from_tensors` restores the object exactly."""
        count = torch.tensor(self.tokens, dtype=torch.int64)
        return {"gram": self.gram, "mean": self.mean, "variance": self.variance, "tokens": count}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> InputStatistics:
        return cls(tensors["gram"], tensors["mean"], tensors["variance"], int(tensors["tokens"]))


class StatisticsAccumulator:
    """Gathers `InputStatistics` from batches of any floating dtype; sums are kept in fp32 on ``device``.

    Mean and variance follow Chan, Golub and LeVeque's update of centered sums, so that a channel with a
    large constant part does not lose its variance to cancellation. ``name`` says in error messages which
    input it is.
    """

    def __init__(self, in_features: int, device: torch.device | str = "cpu", name: str = "input") -> None:
        self.name = name
        self.tokens = 0
        self._gram = torch.zeros(in_features, in_features, dtype=torch.float32, device=device)
        self._mean = torch.zeros(in_features, dtype=torch.float32, device=device)
        self._centered = torch.zeros_like(self._mean)

    @torch.no_grad()
    def add(self, x: Float[Tensor, "*tokens in"]) -> None:
        """Count every vector along the last axis as one token.

        Raises UserError, naming the input, where a value is NaN, infinite, or too large to square in fp32,
        and where the width is not the expected one.
        """
        in_features = len(self._mean)
        if x.shape[-1] != in_features:
            raise UserError(f"{self.name}: expected {in_features} channels, got shape {tuple(x.shape)}.")
        with full_precision():
            for chunk in x.reshape(-1, in_features).split(max(1, CHUNK_ELEMENTS // in_features)):
                if len(chunk):
                    self._add_chunk(chunk.to(self._gram))

    def _add_chunk(self, chunk: Float[Tensor, "tokens in"]) -> None:
        mean = chunk.mean(dim=0)
        squares = chunk.square().sum(dim=0)
        if not torch.isfinite(squares).all():
            finite = bool(torch.isfinite(chunk).all())
            what = "values too large to square in fp32" if finite else "NaN or infinite values"
            raise UserError(
                f"{self.name}: {what} among the calibration activations. Check the model's weights, or load "
                "it with dtype bfloat16 or float32 instead of float16."
            )
        tokens = self.tokens + len(chunk)
        shift = mean - self._mean
        self._gram.addmm_(chunk.T, chunk)
        self._centered += (chunk - mean).square_().sum(dim=0)
        self._centered += shift.square() * (self.tokens * len(chunk) / tokens)
        self._mean += shift * (len(chunk) / tokens)
        self.tokens = tokens

    def finish(self) -> InputStatistics:
        """The statistics of everything added so far; more may be added afterwards.

        Raises UserError where nothing was added.
        """
        if not self.tokens:
            raise UserError(f"{self.name}: no calibration token reached this input; nothing can be measured.")
        gram = (self._gram + self._gram.T) / (2 * self.tokens)
        return InputStatistics(gram, self._mean.clone(), self._centered / self.tokens, self.tokens)
