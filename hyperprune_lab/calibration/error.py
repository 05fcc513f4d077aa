"""How much of a linear's output is lost when its weights are changed, relative to the dense output.

Knows nothing about masks or methods: two weight matrices and the Gram matrix of their input are all it reads.

With ``H = E[x x^T]`` and ``D = W - W_pruned`` the relative error is ``tr(D H D^T) / tr(W H W^T)``, which
equals ``||D X||_F^2 / ||W X||_F^2`` on the tokens that H was gathered from. The error, its rows and its channels
split one and the same product ``(D H) * D``: by rows for the outputs, by columns for the inputs, or whole.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from hyperprune_lab.calibration.statistics import full_precision


def relative_error(
    weight: Float[Tensor, "out in"], pruned: Float[Tensor, "out in"], gram: Float[Tensor, "in in"]
) -> float:
    """``tr(D H D^T) / tr(W H W^T)``: 0 for unchanged outputs, 1 where as much is lost as was there.

    0 where both energies are 0 (a dead input loses nothing), inf where only the dense one is.
    """
    return row_errors(weight, pruned, gram).sum().item()


def row_errors(
    weight: Float[Tensor, "out in"], pruned: Float[Tensor, "out in"], gram: Float[Tensor, "in in"]
) -> Float[Tensor, " out"]:
    """Each output row's part of the relative error (float64); they add up to it.

    Every row is divided by the energy of the whole matrix, not by its own.
    """
    lost = _energy_parts(weight.to(gram) - pruned.to(gram), gram)
    return _over_energy(lost.sum(dim=1, dtype=torch.float64), weight, gram)


def row_moments(
    weight: Float[Tensor, "out in"], pruned: Float[Tensor, "out in"], gram: Float[Tensor, "in in"]
) -> tuple[Float[Tensor, " out"], Float[Tensor, " out"]]:
    """Each output row's dense energy ``w H w^T``, and covariance ``w H d^T`` of its dense output with what it lost.

    Both over the energy of the whole matrix, as ``row_errors`` (float64): with the three of them, the error over the
    row's own energy and the correlation of its dense and pruned output follow. The energies add up to 1.
    """
    lost = weight.to(gram) - pruned.to(gram)
    with full_precision():
        dense = weight.to(gram) @ gram
    energy = (dense * weight.to(gram)).sum(dim=1, dtype=torch.float64)
    return (
        _over_energy(energy, weight, gram),
        _over_energy((dense * lost).sum(dim=1, dtype=torch.float64), weight, gram),
    )


def channel_shares(
    weight: Float[Tensor, "out in"], pruned: Float[Tensor, "out in"], gram: Float[Tensor, "in in"]
) -> Float[Tensor, " in"]:
    """Each input channel's signed part of the relative error (float64); they add up to it.

    ``s_j = sum_k H_jk (D^T D)_jk / tr(W H W^T)``. A negative share says that what channel j lost cancels what
    correlated channels lost.
    """
    lost = _energy_parts(weight.to(gram) - pruned.to(gram), gram)
    return _over_energy(lost.sum(dim=0, dtype=torch.float64), weight, gram)


def _energy_parts(matrix: Float[Tensor, "out in"], gram: Float[Tensor, "in in"]) -> Float[Tensor, "out in"]:
    """``(M H) * M``, whose sum is ``tr(M H M^T)``."""
    with full_precision():
        matrix = matrix.to(gram)
        return (matrix @ gram) * matrix


def _over_energy(
    parts: Float[Tensor, " n"], weight: Float[Tensor, "out in"], gram: Float[Tensor, "in in"]
) -> Float[Tensor, " n"]:
    energy = _energy_parts(weight, gram).sum(dtype=torch.float64)
    return torch.where(parts == 0, torch.zeros_like(parts), parts / energy)
