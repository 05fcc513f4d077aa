"""The Gram matrix at unit diagonal, and its damped factor."""

import pytest
import torch

from hyperprune_lab.errors import UserError
from hyperprune_lab.methods import scaled
from hyperprune_lab.methods.scaled import ScaledGram, damped_cholesky
from tests.methods.problems import linear, powers_of_two, rescaled


def test_the_quadratic_form_is_the_same_in_scaled_coordinates():
    problem = linear(dead=(3,))
    gram, weight = problem.statistics.gram, problem.weight
    inside = ScaledGram.of(gram)
    entered = inside.enter(weight)
    torch.testing.assert_close((entered @ inside.matrix * entered).sum(1), (weight @ gram * weight).sum(1))
    assert inside.dead.nonzero().flatten().tolist() == [3]
    assert inside.matrix.diagonal()[~inside.dead].eq(1).all()
    assert not inside.matrix[3].any()
    left = inside.leave(entered)
    assert not left[:, 3].any()
    torch.testing.assert_close(left[:, ~inside.dead], weight[:, ~inside.dead])


def test_powers_of_two_change_no_bit():
    problem = linear()
    other = rescaled(problem, powers_of_two(48))
    before, after = ScaledGram.of(problem.statistics.gram), ScaledGram.of(other.statistics.gram)
    assert torch.equal(before.matrix, after.matrix)
    assert torch.equal(before.enter(problem.weight), after.enter(other.weight))


def test_factor_gives_back_the_damped_matrix():
    matrix = ScaledGram.of(linear().statistics.gram).matrix
    factor, damping = damped_cholesky(matrix, 0.02, unit=3.0)
    assert damping == 0.02
    torch.testing.assert_close(factor @ factor.T, matrix.double() + 0.06 * torch.eye(48, dtype=torch.float64))


def test_damping_grows_until_the_matrix_is_definite_and_is_reported():
    indefinite = torch.diag(torch.tensor([1.0, 1.0, -0.03]))
    factor, damping = damped_cholesky(indefinite, 0.01)
    assert damping == pytest.approx(0.1)
    assert torch.isfinite(factor).all()
    assert damped_cholesky(torch.ones(5, 5), 0.0)[1] == 1e-6


@pytest.mark.parametrize("matrix", [-1e9 * torch.eye(3), torch.full((3, 3), torch.nan)])
def test_what_is_no_gram_matrix_is_refused(matrix):
    with pytest.raises(UserError, match="not positive semi-definite"):
        damped_cholesky(matrix, 0.01)


def test_wide_matrices_are_factored_in_fp32_and_in_float64_where_that_fails(monkeypatch):
    monkeypatch.setattr(scaled, "EXACT_WIDTH", 4)
    assert damped_cholesky(torch.eye(5), 0.01)[0].dtype == torch.float32
    # Rank one: 1 + 1e-9 is 1 in fp32, so the second pivot is exactly zero there.
    factor, damping = damped_cholesky(torch.ones(5, 5), 1e-9)
    assert (factor.dtype, damping) == (torch.float64, 1e-9)
