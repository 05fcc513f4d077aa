"""Relative error and its two splits against explicit outputs."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperprune_lab.calibration import channel_shares, relative_error, row_errors
from hyperprune_lab.calibration.error import row_moments


def problem(seed=0, out=5, width=8, tokens=40):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(tokens, width, generator=generator) @ torch.randn(width, width, generator=generator)
    weight = torch.randn(out, width, generator=generator)
    pruned = weight * (torch.rand(out, width, generator=generator) < 0.5)
    return x, weight, pruned, x.T @ x / tokens


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_error_and_its_parts_match_explicit_outputs(seed):
    x, weight, pruned, gram = problem(seed)
    dense, lost = x.double() @ weight.double().T, x.double() @ (weight - pruned).double().T
    whole = dense.square().sum()
    error = relative_error(weight, pruned, gram)
    assert error == pytest.approx((lost.square().sum() / whole).item(), rel=1e-4)
    rows = row_errors(weight, pruned, gram)
    torch.testing.assert_close(rows, lost.square().sum(0) / whole, rtol=1e-3, atol=1e-6)
    energies, covariances = row_moments(weight, pruned, gram)
    torch.testing.assert_close(energies, dense.square().sum(0) / whole, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(covariances, (dense * lost).sum(0) / whole, rtol=1e-3, atol=1e-5)
    assert energies.sum().item() == pytest.approx(1)
    difference = (weight - pruned).double()
    shares = (gram.double() * (difference.T @ difference)).sum(1) / (whole / len(x))
    torch.testing.assert_close(channel_shares(weight, pruned, gram), shares, rtol=1e-3, atol=1e-5)
    assert rows.sum().item() == pytest.approx(error, rel=1e-9)
    assert channel_shares(weight, pruned, gram).sum().item() == pytest.approx(error, rel=1e-6)


def test_a_channel_that_cancels_has_a_negative_share():
    gram = torch.tensor([[1.0, 0.9], [0.9, 1.0]])
    weight, pruned = torch.tensor([[1.0, 3.0]]), torch.tensor([[1.5, 0.0]])  # D = (-0.5, 3)
    shares = channel_shares(weight, pruned, gram)
    assert shares[0] < 0 < shares[1]


def test_closed_forms():
    _, weight, _, gram = problem()
    assert relative_error(weight, weight, gram) == 0
    assert relative_error(weight, torch.zeros_like(weight), gram) == pytest.approx(1)
    assert relative_error(weight, 0.75 * weight, gram) == pytest.approx(1 / 16)
    mask = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    assert relative_error(torch.ones(1, 4), mask, torch.eye(4)) == pytest.approx(0.5)


def test_rescaling_a_channel_together_with_its_weights_changes_nothing():
    _, weight, pruned, gram = problem()
    scale = torch.tensor([1.0, 30.0, 1.0, 0.1, 1.0, 1.0, 7.0, 1.0])
    scaled = relative_error(weight / scale, pruned / scale, gram * scale * scale[:, None])
    assert scaled == pytest.approx(relative_error(weight, pruned, gram), rel=1e-4)


def test_no_energy():
    weight, zeros = torch.ones(2, 4), torch.zeros(4, 4)
    assert relative_error(weight, 0 * weight, zeros) == 0
    assert math.isinf(relative_error(0 * weight, weight, torch.eye(4)))


def test_weights_in_bfloat16_are_compared_in_fp32():
    _, weight, pruned, gram = problem()
    weight, pruned = weight.bfloat16(), (pruned + 0.01 * weight).bfloat16()
    expected = relative_error(weight.float(), pruned.float(), gram)
    assert relative_error(weight, pruned, gram) == pytest.approx(expected, rel=1e-6)
