"""The Gram matrix scaled to unit diagonal, and its damped factors.

Knows nothing about masks or patterns.

Scaling channel j's input by s and its weights by 1/s leaves a layer's function as it is. Damping relative to
the *mean* of diag(H) does not survive such a change once some channels are much larger than others, so
everything of ours first scales H to unit diagonal (`A_ij = H_ij / (d_i d_j)`, `d = sqrt(diag H)`), works on
the weights `W d`, damps A, and scales back. With powers of two the results are the same to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hyperprune_lab.errors import UserError

EXACT_WIDTH = 4096
"""Up to this width factors are computed in float64; beyond it in fp32, and in float64 where that fails."""

LARGEST_DAMPING = 1e3
"""In units of the diagonal; a matrix that is still not positive definite is not a Gram matrix."""


@dataclass(frozen=True, eq=False)
class ScaledGram:
    """``matrix`` is A (fp32, unit diagonal), ``scale`` is d; a dead channel has a zero row,
    column and scale."""

    matrix: Float[Tensor, "in in"]
    scale: Float[Tensor, " in"]

    @classmethod
    def of(cls, gram: Float[Tensor, "in in"]) -> ScaledGram:
        """Scale ``H = E[x x^T]``; any positive factor on H cancels."""
        scale = gram.diagonal().clamp_min(0).sqrt()
        inverse = torch.where(scale > 0, 1 / scale, 0.0)
        matrix = gram * inverse[:, None] * inverse
        matrix.diagonal().copy_((scale > 0).to(matrix))
        return cls(matrix, scale)

    @property
    def dead(self) -> Bool[Tensor, " in"]:
        """Channels that were zero on every token: nothing is known about what their weights are worth."""
        return self.scale == 0

    def enter(self, weight: Float[Tensor, "out in"]) -> Float[Tensor, "out in"]:
        """The weights in scaled coordinates, where A is their quadratic; zero at dead channels."""
        return weight * self.scale

    def leave(self, scaled_weight: Float[Tensor, "out in"]) -> Float[Tensor, "out in"]:
        """Undo `enter`; zero at dead channels."""
        return torch.where(self.dead, 0.0, scaled_weight / self.scale)

    def damped(self, damping: float) -> Float[Tensor, "in in"]:
        """``A + damping I``."""
        matrix = self.matrix.clone()
        matrix.diagonal().add_(damping)
        return matrix


def damped_cholesky(
    matrix: Float[Tensor, "in in"], damping: float, unit: float = 1.0
) -> tuple[Float[Tensor, "in in"], float]:
    """Lower Cholesky factor of ``matrix + damping * unit * I``, and the ``damping`` that it took.

    Float64 up to `EXACT_WIDTH` columns; wider, fp32 first and float64 where that fails. If the matrix is
    still not positive definite, the damping grows tenfold (from at least 1e-6) until it is.

    Raises:
        UserError: no damping up to 1000 units helps: the matrix is not a Gram matrix.
    """
    wide = matrix.shape[0] > EXACT_WIDTH
    exact = torch.float64 if matrix.device.type != "mps" else torch.float32  # that device has no float64
    while damping <= LARGEST_DAMPING:
        for dtype in (torch.float32, exact) if wide else (exact,):
            damped = matrix.to(dtype, copy=True)
            damped.diagonal().add_(damping * unit)
            factor, info = torch.linalg.cholesky_ex(damped)
            if info.item() == 0 and bool(torch.isfinite(factor.diagonal()).all()):
                return factor, damping
        damping = max(damping * 10, 1e-6)
    raise UserError(
        "The Gram matrix of an input is not positive semi-definite, whatever the damping: the calibration "
        "statistics are damaged or not finite. Gather them again, in bfloat16 or float32."
    )
