"""SparseGPT against the optimal brain surgeon, column by column and without any of the shortcuts."""

import pytest
import torch

from hyperprune_lab.methods import sparsegpt
from hyperprune_lab.methods.sparsegpt import SparseGPT, inverse_factor, sparsegpt_mask_and_weights
from hyperprune_lab.patterns import NMPattern
from tests.methods.problems import linear, row_losses


def surgeon(weight, gram, pattern, damping):
    """Float64, one inverse per column: errors go to the right at once."""
    h = gram.double() + damping * gram.double().diagonal().mean() * torch.eye(len(gram))
    w = torch.where(gram.diagonal() == 0, 0.0, weight.double())
    kept = torch.zeros_like(w, dtype=torch.bool)
    for j in range(len(h)):
        if j % pattern.group == 0:
            group = range(j, j + pattern.group)
            score = torch.stack([w[:, c] ** 2 / torch.linalg.inv(h[c:, c:])[0, 0] for c in group], 1)
            kept[:, j : j + pattern.group] = pattern.project(score)
        inverse = torch.linalg.inv(h[j:, j:])
        error = torch.where(kept[:, j], 0.0, w[:, j]) / inverse[0, 0]
        w[:, j:] -= error[:, None] * inverse[0]
    return kept, w


@pytest.mark.parametrize("block", [16, 128])
@pytest.mark.parametrize("text", ["1:4", "2:4", "3:4", "4:8", "8:16"])
def test_equals_the_surgeon(monkeypatch, text, block):
    monkeypatch.setattr(sparsegpt, "BLOCK_COLUMNS", block)
    problem = linear(text, dead=(0, 17))
    mask, weight = sparsegpt_mask_and_weights(
        problem.weight, inverse_factor(problem.statistics.gram), problem.pattern
    )
    expected_mask, expected = surgeon(problem.weight, problem.statistics.gram, problem.pattern, 0.01)
    assert torch.equal(mask, expected_mask)
    torch.testing.assert_close(weight.double(), expected, rtol=1e-3, atol=1e-4)


def test_blocks_hold_whole_groups():
    # 128 columns hold no whole number of groups of 3 or 24; a column beyond the last block must not be lost.
    problem = linear("2:3", out=4, channels=144, tokens=400)
    factor = inverse_factor(problem.statistics.gram)
    for pattern in (NMPattern(2, 3), NMPattern(10, 24)):
        mask, weight = sparsegpt_mask_and_weights(problem.weight, factor, pattern)
        expected_mask, expected = surgeon(problem.weight, problem.statistics.gram, pattern, 0.01)
        assert torch.equal(mask, expected_mask)
        torch.testing.assert_close(weight.double(), expected, rtol=1e-3, atol=1e-4)


def test_update_pays_against_the_same_mask_with_the_original_weights():
    problem = linear(tokens=1000)
    gram = problem.statistics.gram
    decision = SparseGPT().decide_linear(problem)
    assert decision.weight is not None
    kept = row_losses(problem.weight, problem.weight * decision.mask, gram).sum()
    assert row_losses(problem.weight, decision.weight, gram).sum() < 0.9 * kept
    assert not decision.weight[~decision.mask].any()


def test_mask_is_the_choice_and_not_where_weights_happen_to_be_zero():
    problem = linear()
    problem.weight[5] = 0
    problem.weight[:, 8:12] = 0
    decision = SparseGPT().decide_linear(problem)
    assert problem.pattern.violations(decision.mask) == 0


def test_damping_is_reported_as_taken():
    few = linear(tokens=10)
    assert SparseGPT().decide_linear(few).scalars["damping"] == 0.01
    singular = linear(tokens=10, dead=(2, 3))
    decision = SparseGPT(damping=0.0).decide_linear(singular)
    assert 0 < decision.scalars["damping"] <= 1e-4
    assert decision.scalars["dead_channels"] == 2
    assert decision.weight is not None
    assert torch.isfinite(decision.weight).all()


def test_damping_by_the_mean_follows_one_factor_for_all_channels_only():
    """Multiplying every input by 2 changes nothing; a single huge channel drowns the others' damping."""
    problem = linear()
    gram = problem.statistics.gram
    plain = inverse_factor(gram).upper
    torch.testing.assert_close(inverse_factor(4 * gram).upper * 2, plain)
    factors = torch.ones(48)
    factors[7] = 64.0
    loud = gram * factors[:, None] * factors
    others = torch.arange(48) != 7
    by_mean = inverse_factor(loud).upper[:, others]
    by_channel = inverse_factor(loud, relative_to="channel").upper[:, others]
    assert not torch.allclose(by_mean, plain[:, others], rtol=0.05)
    assert torch.equal(by_channel, inverse_factor(gram, relative_to="channel").upper[:, others])
