"""Least squares against a direct solver, and ALPS against what other masks reach after least squares."""

import pytest
import torch

from hyperprune_lab.methods.alps import ALPS, alps
from hyperprune_lab.methods.coordinate_descent import descent_from_wanda
from hyperprune_lab.methods.least_squares import least_squares
from hyperprune_lab.methods.scaled import ScaledGram
from hyperprune_lab.methods.wanda import wanda_scores
from tests.methods.problems import PATTERNS, linear, row_losses


def wanda_mask(problem):
    return problem.pattern.project(wanda_scores(problem.weight, problem.statistics))


def direct(weight, gram, mask, damping):
    """Each row's masked normal equations by a dense float64 solve; damping is relative to each channel."""
    h = gram.double()
    h = h + damping * torch.diag(h.diagonal())
    solution = torch.zeros_like(weight, dtype=torch.float64)
    for row, kept in enumerate(mask):
        wanted = (h @ weight[row].double())[kept]
        solution[row, kept] = torch.linalg.solve(h[kept][:, kept], wanted)
    return solution


@pytest.mark.parametrize("text", ["1:4", "2:4", "3:4", "8:16"])
@pytest.mark.parametrize(("tokens", "damping"), [(400, 0.0), (400, 0.01), (12, 0.01)])
def test_equals_a_direct_solve(text, tokens, damping):
    problem = linear(text, tokens=tokens)
    gram, mask = problem.statistics.gram, wanda_mask(problem)
    ours = least_squares(problem.weight, gram, mask, damping, iterations=300, tolerance=1e-6)
    scale = gram.diagonal().sqrt()
    expected = direct(problem.weight, gram, mask, damping)
    torch.testing.assert_close(ours.double() * scale, expected * scale, rtol=2e-3, atol=1e-3)
    assert not ours[~mask].any()


def test_default_effort_is_enough():
    problem = linear(out=60, channels=96)
    gram, mask = problem.statistics.gram, wanda_mask(problem)
    ours = row_losses(problem.weight, least_squares(problem.weight, gram, mask), gram).sum()
    best = row_losses(problem.weight, direct(problem.weight, gram, mask, 0.01), gram).sum()
    assert ours <= 1.001 * best
    assert ours < 0.8 * row_losses(problem.weight, problem.weight * mask, gram).sum()


def test_what_calibration_never_saw_stays_as_it_was():
    problem = linear(dead=(4, 20))
    mask = torch.ones_like(problem.weight, dtype=torch.bool)
    mask[:, 1::2] = False
    ours = least_squares(problem.weight, problem.statistics.gram, mask)
    assert torch.equal(ours[:, [4, 20]], problem.weight[:, [4, 20]])


@pytest.mark.parametrize("size", [1e-18, 1e-6, 1e6])
def test_iterating_past_convergence_is_harmless_whatever_the_size_of_a_row(size):
    problem = linear(tokens=20)
    gram, mask = problem.statistics.gram, wanda_mask(problem)
    weight = problem.weight.clone()
    weight[3] *= size
    weight[4] = 0
    settled = least_squares(weight, gram, mask, 0.0, iterations=60, tolerance=0.0)
    further = least_squares(weight, gram, mask, 0.0, iterations=1000, tolerance=0.0)
    assert torch.isfinite(further).all()
    assert not further[4].any()
    start = row_losses(weight, weight * mask, gram)
    assert (row_losses(weight, settled, gram) <= start * (1 + 1e-4)).all()
    assert (row_losses(weight, further, gram) <= start * (1 + 1e-4)).all()


@pytest.mark.parametrize("text", PATTERNS)
@pytest.mark.parametrize("tokens", [20, 300])
def test_alps_beats_masks_that_did_not_know_of_the_refit(text, tokens):
    problem = linear(text, out=64, tokens=tokens)
    weight, gram = problem.weight, problem.statistics.gram
    mask, refitted = alps(weight, gram, problem.pattern)
    assert problem.pattern.violations(mask) == 0
    assert not refitted[~mask].any()
    scaled = ScaledGram.of(gram)
    damped = scaled.damped(0.01) * scaled.scale[:, None] * scaled.scale

    def reached(other):
        return row_losses(weight, least_squares(weight, gram, other), damped).sum()

    ours = row_losses(weight, refitted, damped).sum()
    assert ours < 0.97 * reached(wanda_mask(problem))
    assert ours < reached(descent_from_wanda(weight, problem.statistics, problem.pattern))


def test_alps_prunes_dead_channels_first():
    problem = linear(dead=(0, 5, 6))
    decision = ALPS().decide_linear(problem)
    assert decision.weight is not None
    assert not decision.mask[:, [0, 5, 6]].any()
    assert torch.isfinite(decision.weight).all()
    assert decision.scalars["damping"] == 0.01
