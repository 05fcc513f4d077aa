"""Least squares: refit the kept weights of a linear under a fixed mask.

Knows nothing about how the mask was chosen.

Each row solves its own masked normal equations: minimize ``(w - x) A (w - x)^T`` over x with the mask's
support, A scaled to unit diagonal and damped. The damping pulls the kept weights towards their original
values, never towards zero.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hyperprune_lab.calibration.statistics import full_precision
from hyperprune_lab.methods.scaled import ScaledGram

FINEST = 1e-6
"""Residuals relative to the first below which fp32 steps are rounding, and end up dividing zero by zero."""


def least_squares(
    weight: Float[Tensor, "out in"],
    gram: Float[Tensor, "in in"],
    mask: Bool[Tensor, "out in"],
    damping: float = 0.01,
    iterations: int = 60,
    tolerance: float = 1e-3,
) -> Float[Tensor, "out in"]:
    """The refitted weights (fp32, zero outside the mask), by conjugate gradients on all rows at once.

    Starts from the original kept weights and stops when every row's residual is below ``tolerance`` of what
    it was, or after ``iterations``. After the scaling the diagonal is constant, so the plain method *is* the
    Jacobi-preconditioned one. Kept weights of dead channels stay as they are.
    """
    scaled = ScaledGram.of(gram)
    a = scaled.damped(damping)
    w = scaled.enter(weight.float())
    with full_precision():
        residual = ((w * ~mask) @ a) * mask
        # Rows of unit residual, so that squares neither overflow nor vanish.
        size = residual.norm(dim=1, keepdim=True)
        residual = residual / torch.where(size > 0, size, 1.0)
        direction = residual.clone()
        change = torch.zeros_like(residual)
        square = residual.square().sum(1, keepdim=True)
        for _ in range(iterations):
            going = square > max(tolerance, FINEST) ** 2
            if not going.any():
                break
            product = (direction @ a) * mask
            curvature = (direction * product).sum(1, keepdim=True)
            # A finished row takes no more steps: its direction is nothing but rounding.
            step = torch.where(going & (curvature > 0), square / curvature, 0.0)
            change.addcmul_(direction, step)
            residual.addcmul_(product, step, value=-1)
            before, square = square, residual.square().sum(1, keepdim=True)
            direction = residual + direction * torch.where(going, square / before, 0.0)
        return (weight.float() + scaled.leave(change * size)) * mask
