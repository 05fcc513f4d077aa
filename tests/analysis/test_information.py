"""Mutual information against sampling and closed forms, and its relation to the error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hyperprune_lab.analysis import information
from hyperprune_lab.analysis.groups import pattern_costs
from hyperprune_lab.analysis.sources import open_sources
from hyperprune_lab.errors import UserError
from hyperprune_lab.patterns import NMPattern
from tests.analysis.worlds import World, name_of

UP = name_of(1, "mlp.up_proj")


def problem(seed: int, rows: int = 3, width: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, pruned weights and a full H."""
    draw = np.random.default_rng(seed)
    weight, root = draw.standard_normal((rows, width)), draw.standard_normal((width, width))
    mask = NMPattern(2, 4).project(draw.random((rows, width)))
    return weight, weight * mask, root @ root.T / width


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_correlations_and_errors_are_those_of_sampled_outputs(seed):
    weight, pruned, gram = problem(seed)
    x = np.random.default_rng(seed + 1).multivariate_normal(np.zeros(8), gram, 200_000)
    y, z = x @ weight.T, x @ pruned.T
    moments = information.row_moments(weight, pruned, gram[None])
    sampled = [np.corrcoef(y[:, row], z[:, row])[0, 1] ** 2 for row in range(3)]
    np.testing.assert_allclose(moments.squared_correlation, sampled, atol=0.01)
    np.testing.assert_allclose(moments.error_rel, np.square(y - z).mean(0) / np.square(y).mean(0), rtol=0.03)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_information_is_the_mean_log_ratio_of_densities(seed):
    """I = E log p(y, z) / (p(y) p(z)), with the sampled outputs and no use of the formula."""
    weight, pruned, gram = problem(seed, rows=1)
    squared = information.row_moments(weight, pruned, gram[None]).squared_correlation
    assume(squared[0] < 0.99)
    draw = np.random.default_rng(seed + 1)
    both = draw.multivariate_normal(np.zeros(8), gram, 100_000) @ np.vstack([weight, pruned]).T
    covariance = np.cov(both.T)
    quadratic = np.einsum("ti,ij,tj->t", both, np.linalg.inv(covariance), both)
    alone = np.square(both) / np.diag(covariance)
    log_ratio = -0.5 * (np.linalg.slogdet(covariance)[1] + quadratic) + 0.5 * (
        np.log(np.diag(covariance)).sum() + alone.sum(1)
    )
    assert log_ratio.mean() == pytest.approx(information.from_correlation(squared)[0], abs=0.02)


@given(seed=st.integers(0, 10_000), scale=st.floats(0.1, 10))
def test_a_smaller_error_raises_a_bound_and_the_best_scale_reaches_it(seed, scale):
    weight, pruned, gram = problem(seed)
    moments = information.row_moments(weight, pruned, gram[None])
    exact = information.from_correlation(moments.squared_correlation)
    assert (exact >= information.from_error(moments.error_rel) - 1e-9).all()
    rescaled = information.row_moments(weight, scale * pruned, gram[None])
    np.testing.assert_allclose(rescaled.squared_correlation, moments.squared_correlation, rtol=1e-9)
    assert (exact >= information.from_error(rescaled.error_rel) - 1e-9).all(), (
        "a rescaled output tells as much"
    )
    best = moments.cross / moments.pruned
    tight = information.row_moments(weight, best[:, None] * pruned, gram[None])
    np.testing.assert_allclose(information.from_error(tight.error_rel), exact, rtol=1e-6)


@given(seed=st.integers(0, 10_000))
def test_where_inputs_are_uncorrelated_the_two_criteria_are_one(seed):
    draw, table = np.random.default_rng(seed), NMPattern(2, 4).table()
    weights, diagonal = draw.standard_normal(4), np.diag(draw.random(4) + 0.1)
    costs = pattern_costs(weights, diagonal, table)
    found = information.pattern_information(weights, diagonal, table)
    np.testing.assert_allclose(
        found, information.from_error(costs / (weights @ diagonal @ weights)), rtol=1e-9
    )
    assert found.argmax() == costs.argmin()


@given(seed=st.integers(0, 1000), noise=st.floats(1e-3, 10))
def test_whole_outputs_agree_with_canonical_correlations(seed, noise):
    weight, pruned, gram = problem(seed)
    dense, both, other = (a @ gram @ b.T for a, b in ((weight, weight), (weight, pruned), (pruned, pruned)))
    one, two = np.linalg.cholesky(dense + noise * np.eye(3)), np.linalg.cholesky(other + noise * np.eye(3))
    canonical = np.linalg.svd(np.linalg.solve(one, both) @ np.linalg.inv(two).T, compute_uv=False)
    found = information.joint(weight, pruned, gram, noise)
    assert found == pytest.approx(-0.5 * np.log1p(-(canonical**2)).sum(), rel=1e-6)
    assert information.joint(pruned, weight, gram, noise) == pytest.approx(found)
    assert information.joint(weight, np.zeros_like(weight), gram, noise) == pytest.approx(0, abs=1e-9)


def test_a_single_noiseless_row_is_the_limit_of_whole_outputs():
    weight, pruned, gram = problem(3, rows=1)
    exact = information.from_correlation(
        information.row_moments(weight, pruned, gram[None]).squared_correlation
    )[0]
    assert information.joint(weight, pruned, gram, 1e-9) == pytest.approx(exact, rel=1e-5)
    with pytest.raises(ValueError, match="noise"):
        information.joint(weight, pruned, gram, 0.0)


def test_bounds_come_from_recorded_errors(world: World):
    table = information.bounds(world.run).set_index("module")
    errors = world.run.modules().set_index("module")
    np.testing.assert_allclose(
        table["ours"], np.maximum(0, -0.5 * np.log(errors.loc[table.index, "error_rel"]))
    )
    weight, gram = world.weights[UP], world.gram(UP)
    moments = information.row_moments(weight, weight * world.masks[UP], gram[None])
    told = information.from_correlation(moments.squared_correlation)
    assert table.loc[UP, "ours"] <= np.average(told, weights=moments.dense) + 1e-9


def by_hand(world: World, gram: np.ndarray, row: int) -> tuple[float, float]:
    """Relative error and squared correlation of one row of ``UP``."""
    weight = world.weights[UP].astype(float)[row]
    pruned = weight * world.masks[UP][row]
    dense, cross, kept = weight @ gram @ weight, weight @ gram @ pruned, pruned @ gram @ pruned
    return (dense - 2 * cross + kept) / dense, cross**2 / (dense * kept)


def test_recorded_rows_are_exact_on_the_full_h(world: World):
    found = information.rows(world.run, UP)
    assert found.assumed == information.ASSUMED_BOUNDS
    for row in range(20):
        error, squared = by_hand(world, world.gram(UP), row)
        assert found.table["error_rel"][row] == pytest.approx(error, rel=1e-4)
        assert found.table["squared_correlation"][row] == pytest.approx(squared, abs=1e-5)
    assert (found.table["information"] >= found.table["bound"] - 1e-6).all()


def test_older_records_fall_back_on_weights_and_blocks_and_say_so(
    world: World, plain_world: World, monkeypatch
):
    run = world.run
    whole = type(run).evidence
    monkeypatch.setattr(
        type(run),
        "evidence",
        lambda *a, **k: {name: v for name, v in whole(*a, **k).items() if name != "row_energies"},
    )
    found = information.rows(run, UP, open_sources(run))
    assert found.assumed == information.ASSUMED_ROWS
    blockwise = np.where(np.kron(np.eye(6), np.ones((4, 4))) > 0, world.gram(UP), 0)
    for row in (3, 7):
        error, squared = by_hand(world, blockwise, row)
        assert found.table["squared_correlation"][row] == pytest.approx(squared, rel=1e-4)
        assert found.table["error_rel"][row] == pytest.approx(error, rel=1e-4)
    with pytest.raises(UserError, match="open the model's weights too"):
        information.rows(run, UP)
    with pytest.raises(UserError, match="did not record the blocks of H"):
        information.rows(plain_world.run, UP, open_sources(plain_world.run))


@given(seed=st.integers(0, 10_000), size=st.floats(1e-6, 1))
def test_both_ways_to_the_correlation_agree_also_for_tiny_errors(seed, size):
    weight, _, gram = problem(seed)
    lost = size * np.random.default_rng(seed + 1).standard_normal(weight.shape)
    energy, error, covariance = (
        np.einsum("ri,ij,rj->r", a, gram, b) for a, b in ((weight, weight), (lost, lost), (weight, lost))
    )
    relative, squared = information.from_row_moments(energy, error, covariance)
    moments = information.row_moments(weight, weight - lost, gram[None])
    np.testing.assert_allclose(relative, error / energy, rtol=1e-9)
    np.testing.assert_allclose(squared, moments.squared_correlation, atol=1e-9)
    assert (information.from_correlation(squared) >= information.from_error(relative) - 1e-6).all()


def test_the_relation_counts_groups_that_both_criteria_decide_alike(world: World):
    found = information.relation(world.run, UP, open_sources(world.run), groups=200)
    assert found.groups == 200
    assert 0.5 < found.same_choice <= 1
    assert -1 <= found.rank_correlation < -0.5
    assert information.relation(world.run, UP, open_sources(world.run), groups=200) == found


def test_a_perfect_and_a_useless_output_have_the_extremes():
    assert information.from_correlation(np.array([0.0, 1.0])).tolist() == [0.0, np.inf]
    assert information.from_error(np.array([0.0, 1.0, 2.0])).tolist() == [np.inf, 0.0, 0.0]
    nothing = information.row_moments(np.zeros((1, 4)), np.zeros((1, 4)), np.eye(4)[None])
    assert (nothing.squared_correlation[0], nothing.error_rel[0]) == (0, 0)
