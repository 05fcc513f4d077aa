"""One group explained: costs by brute force, the choices in the list, and a sentence that says what the numbers say."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperprune_lab.analysis.groups import SHOWN, explain, pattern_costs
from hyperprune_lab.analysis.sources import open_sources
from hyperprune_lab.errors import UserError
from hyperprune_lab.patterns import NMPattern
from tests.analysis.worlds import World, make_world, name_of

UP = name_of(1, "mlp.up_proj")


def brute_force(world: World, module: str, row: int, group: int) -> dict[tuple[bool, ...], float]:
    size = world.pattern.group
    part = slice(group * size, (group + 1) * size)
    weight, gram = world.weights[module][row, part], world.gram(module)[part, part]
    costs = {}
    for kept in combinations(range(size), world.pattern.keep):
        removed = [0.0 if place in kept else float(weight[place]) for place in range(size)]
        cost = sum(removed[i] * gram[i, j] * removed[j] for i in range(size) for j in range(size))
        costs[tuple(place in kept for place in range(size))] = cost
    return costs


@pytest.mark.parametrize("module", [name_of(0, "self_attn.k_proj"), UP])
def test_costs_ranks_and_choices_are_those_of_brute_force(world: World, module):
    sources = open_sources(world.run)
    rows, width = world.masks[module].shape
    for row in range(0, rows, 5):
        for group in range(width // 4):
            told = explain(world.run, module, row, group, sources)
            expected = brute_force(world, module, row, group)
            assert {one.kept for one in told.candidates} == set(expected)
            for one in told.candidates:
                assert one.cost == pytest.approx(expected[one.kept], rel=1e-4)
            assert [one.rank for one in told.candidates] == list(range(1, 7))
            assert sorted(expected, key=lambda kept: expected[kept]) == [one.kept for one in told.candidates]
            for flag, masks in (
                ("ours", world.masks),
                ("wanda", world.wanda),
                ("magnitude", world.magnitude),
            ):
                (chosen,) = [one.kept for one in told.candidates if getattr(one, flag)]
                assert chosen == tuple(masks[module][row, 4 * group : 4 * group + 4])
            assert told.kept == tuple(world.masks[module][row, 4 * group : 4 * group + 4])
            np.testing.assert_allclose(
                told.scores,
                np.abs(world.weights[module][row, told.columns[0] : told.columns[1]])
                * world.rms(module)[told.columns[0] : told.columns[1]],
                rtol=1e-6,
            )


@given(seed=st.integers(0, 1000), pattern=st.sampled_from(["1:3", "2:4", "4:8"]))
def test_the_cost_is_the_squared_error_of_the_group_alone(seed, pattern):
    draw, table = np.random.default_rng(seed), NMPattern.parse(pattern).table()
    x, weights = draw.standard_normal((50, table.shape[1])), draw.standard_normal(table.shape[1])
    costs = pattern_costs(weights, x.T @ x / 50, table)
    lost = [np.square(x @ weights - x @ (weights * kept)).mean() for kept in table]
    np.testing.assert_allclose(costs, lost, rtol=1e-9)


def test_the_sentence_says_what_the_list_says(world: World):
    sources = open_sources(world.run)
    kinds = set()
    for row in range(0, 20, 2):
        for group in range(0, 6, 2):
            told = explain(world.run, UP, row, group, sources)
            ours = next(one for one in told.candidates if one.ours)
            assert told.sentence.startswith(
                "Kept " + " and ".join(str(p + 1) for p in np.flatnonzero(told.kept))
            )
            assert told.sentence.endswith("coupling not recorded.")
            if ours.rank == 1:
                best = told.candidates[1]
                lost, gained = (
                    np.flatnonzero(np.array(a) & ~np.array(b)) + 1
                    for a, b in ((told.kept, best.kept), (best.kept, told.kept))
                )
                swap = f"pruning {lost[0]} instead of {gained[0]}"
                whole = f"keeping {' and '.join(str(p + 1) for p in np.flatnonzero(best.kept))} instead"
                assert (swap if len(lost) == 1 else whole) in told.sentence
                times = best.cost / ours.cost
                assert (
                    "hardly more"
                    if times < 1.05
                    else f"{times:.1f} times as much"
                    if times < 99.95
                    else f"{times:,.0f} times"
                ) in told.sentence
            else:
                kept = " and ".join(str(p + 1) for p in np.flatnonzero(told.candidates[0].kept))
                assert f"keeping {kept}, the cheapest by itself" in told.sentence
                assert ours.times is not None
                assert (
                    "hardly more"
                    if ours.times < 1.05
                    else f"{ours.times:.1f} times as much"
                    if ours.times < 99.95
                    else f"{ours.times:,.0f} times"
                ) in told.sentence
            kinds.add(ours.rank == 1)
    assert kinds == {True, False}


def test_without_weights_choices_are_told_without_costs(world: World):
    told = explain(world.run, UP, 3, 2)
    assert told.basis == "nothing"
    assert told.weights is None
    assert told.rms is not None
    assert len(told.candidates) == 6
    assert {one.cost for one in told.candidates} == {None}
    assert "cannot be said: the weights are not here" in told.sentence


def test_light_evidence_leaves_the_diagonal(plain_world: World):
    told = explain(plain_world.run, UP, 3, 2, open_sources(plain_world.run))
    assert told.basis == "diagonal of H"
    part = slice(8, 12)
    weight, rms = plain_world.weights[UP][3, part], plain_world.rms(UP)[part]
    for one in told.candidates:
        assert one.cost == pytest.approx(
            float((np.square(weight * rms) * ~np.array(one.kept)).sum()), rel=1e-4
        )
    assert told.candidates[0].ours, "Wanda's mask is the cheapest on the diagonal"
    assert not any(one.wanda or one.magnitude for one in told.candidates)
    assert told.sentence.endswith("coupling not recorded, nor correlation within the group.")


def test_large_groups_list_the_cheapest_and_every_choice(tmp_path: Path):
    world = make_world(tmp_path, blocks=1, pattern="4:8")
    told = explain(world.run, name_of(0, "mlp.up_proj"), 0, 1, open_sources(world.run))
    assert told.patterns == len(told.candidates) == 70 == SHOWN
    assert told.ranked


@pytest.mark.parametrize(("row", "group"), [(-1, 0), (20, 0), (0, 6), (0, -1)])
def test_a_group_that_is_not_there_is_refused_with_what_there_is(world: World, row, group):
    with pytest.raises(UserError, match="rows 0 to 19 and groups 0 to 5"):
        explain(world.run, UP, row, group)


def test_too_many_patterns_to_list_are_compared_by_single_swaps(tmp_path: Path, monkeypatch):
    world = make_world(tmp_path, blocks=1, pattern="4:8")
    monkeypatch.setattr("hyperprune_lab.analysis.groups.LARGEST_TABLE", 10)
    module = name_of(0, "mlp.up_proj")
    told = explain(world.run, module, 0, 1, open_sources(world.run))
    expected = brute_force(world, module, 0, 1)
    ours = np.array(told.kept)
    assert not told.ranked
    assert 17 <= len(told.candidates) <= 19
    for one in told.candidates:
        assert one.rank is None
        assert one.cost == pytest.approx(expected[one.kept], rel=1e-4)
        assert (ours ^ np.array(one.kept)).sum() <= 2 or one.wanda or one.magnitude
