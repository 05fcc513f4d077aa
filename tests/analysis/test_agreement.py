"""Agreement of masks by brute force, chance by permutation, and which figures of two runs compare."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperprune_lab.analysis.agreement import agreement, by_module, comparable, matrix, overall
from hyperprune_lab.analysis.histogram import pattern_counts
from hyperprune_lab.errors import UserError
from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.record.masks import PackedMask
from tests.analysis.worlds import World, make_world, name_of

PATTERNS = ["2:4", "1:4", "4:8", "1:2", "2:3", "8:16"]


def masks_of(pattern: str, rows: int, groups: int, seed: int, mixing: float) -> tuple[np.ndarray, np.ndarray]:
    """Two masks that share more the smaller ``mixing`` is."""
    draw, shape = np.random.default_rng(seed), (rows, groups * NMPattern.parse(pattern).group)
    score = draw.random(shape)
    return tuple(NMPattern.parse(pattern).project(score + mixing * draw.random(shape)) for _ in range(2))


@settings(max_examples=25)
@given(
    pattern=st.sampled_from(PATTERNS),
    rows=st.integers(1, 9),
    groups=st.integers(1, 5),
    seed=st.integers(0, 99),
    mixing=st.floats(0, 3),
)
def test_shares_are_counted_group_by_group_and_weight_by_weight(pattern, rows, groups, seed, mixing):
    one, other = masks_of(pattern, rows, groups, seed, mixing)
    found = agreement(PackedMask.of(one, pattern), PackedMask.of(other, pattern))
    group = NMPattern.parse(pattern).group
    equal = (one == other).reshape(-1, group).all(1)
    assert found.groups == rows * groups
    assert found.patterns == pytest.approx(equal.mean())
    assert found.weights == pytest.approx((one & other).sum() / one.sum())
    density = NMPattern.parse(pattern).density
    same, chance = (one == other).mean(), density**2 + (1 - density) ** 2
    assert found.kappa_weights == pytest.approx((same - chance) / (1 - chance)), (
        "Cohen's kappa of kept and pruned"
    )
    again = agreement(PackedMask.of(other, pattern), PackedMask.of(one, pattern))
    np.testing.assert_array_equal(astuple(again), astuple(found))


@settings(max_examples=20)
@given(
    pattern=st.sampled_from(PATTERNS),
    rows=st.integers(1, 9),
    groups=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_patterns_are_counted_without_unpacking(pattern, rows, groups, seed):
    mask, _ = masks_of(pattern, rows, groups, seed, 1.0)
    parsed = NMPattern.parse(pattern)
    expected = np.bincount(parsed.ids(mask).ravel(), minlength=parsed.count)
    assert (pattern_counts(PackedMask.of(mask, pattern)) == expected).all()


@pytest.mark.parametrize("pattern", ["2:4", "4:8", "2:3"])
def test_independent_choices_agree_by_chance_only_and_equal_ones_fully(pattern):
    draw, parsed = np.random.default_rng(0), NMPattern.parse(pattern)
    # Lopsided, so that chance is not 1 over the number of patterns: the first position is often kept.
    lopsided = np.where(np.arange(24) % parsed.group == 0, 0.5, 0.0)
    one, other = (
        PackedMask.of(parsed.project(draw.random((3000, 24)) + lopsided), pattern) for _ in range(2)
    )
    found = agreement(one, other)
    assert abs(found.kappa_patterns) < 0.015
    assert found.patterns > 1.1 / parsed.count
    same = agreement(one, one)
    assert (same.patterns, same.weights, same.kappa_patterns, same.kappa_weights) == (1, 1, 1, 1)


def test_masks_of_different_patterns_cannot_agree():
    one, _ = masks_of("2:4", 2, 2, 0, 1.0)
    other, _ = masks_of("4:8", 2, 1, 0, 1.0)
    with pytest.raises(UserError, match=r"2:4 \[2, 8\] and one of 4:8 \[2, 8\]"):
        agreement(PackedMask.of(one, "2:4"), PackedMask.of(other, "4:8"))


def test_by_module_against_recorded_masks_and_other_runs(world: World, plain_world: World):
    table = by_module(world.run, "wanda").set_index("module")
    for module, mask in world.masks.items():
        same = (mask == world.wanda[module]).reshape(-1, 4).all(1).mean()
        assert table.loc[module, "patterns"] == pytest.approx(same)
    groups = sum(mask.size // 4 for mask in world.masks.values())
    equal = sum((m == world.wanda[n]).reshape(-1, 4).all(1).sum() for n, m in world.masks.items())
    assert overall(table.reset_index()) == pytest.approx(equal / groups)
    assert by_module(plain_world.run, "wanda")["patterns"].isna().all(), "light evidence has no mask of Wanda"
    assert np.isnan(overall(by_module(plain_world.run, "wanda")))
    other = by_module(world.run, plain_world.run).set_index("module")
    module = name_of(1, "mlp.up_proj")
    both = world.masks[module] & plain_world.masks[module]
    assert other.loc[module, "weights"] == pytest.approx(both.sum() / world.masks[module].sum())


def test_what_the_other_run_has_not_decided_is_unknown(world: World, half_world: World):
    table = by_module(world.run, half_world.run)
    assert list(table["patterns"].isna()) == [block == 2 for block in table["block"]]
    assert overall(table) == 1.0, "the two worlds are made alike"


def test_the_matrix_is_symmetric_and_has_every_pair(world: World, plain_world: World):
    table = matrix({"ours": world.run, "theirs": plain_world.run})
    assert list(table.index) == ["ours", "theirs", "wanda", "magnitude"]
    assert (np.diag(table) == 1).all()
    np.testing.assert_array_equal(table, table.T)
    assert table.loc["ours", "wanda"] == pytest.approx(overall(by_module(world.run, "wanda")))
    assert np.isnan(table.loc["theirs", "wanda"])
    wanda = np.concatenate([mask.reshape(-1, 4) for mask in world.wanda.values()])
    magnitude = np.concatenate([mask.reshape(-1, 4) for mask in world.magnitude.values()])
    assert table.loc["wanda", "magnitude"] == pytest.approx((wanda == magnitude).all(1).mean())


def test_runs_alike_in_all_but_the_method_compare(world: World, tmp_path: Path):
    other = make_world(tmp_path / "other", network=False)
    found = comparable(world.run, other.run)
    assert (found.masks, found.errors, found.perplexity) == (True, True, True)
    assert {difference.field for difference in found.differences} == {"method"}
    assert "the same" in found.sentence


def test_another_model_or_pattern_is_named_with_what_it_forbids(
    world: World, plain_world: World, tmp_path: Path
):
    found = comparable(world.run, plain_world.run)
    assert (found.masks, found.errors, found.perplexity) == (False, False, False)
    assert "model weights (" in found.sentence
    denser = make_world(tmp_path / "denser", pattern="1:4")
    by_pattern = comparable(world.run, denser.run)
    assert (by_pattern.masks, by_pattern.errors, by_pattern.perplexity) == (False, True, True)
    assert "pattern (2:4 against 1:4): no common column for masks" in by_pattern.sentence


@pytest.mark.parametrize(
    ("part", "field", "value", "forbidden"),
    [
        ("data", "ids_sha256", "d" * 64, {"errors"}),
        ("model", "dtype", "bfloat16", {"perplexity"}),
    ],
)
def test_other_calibration_forbids_errors_and_another_dtype_perplexities(
    world: World, monkeypatch, part, field, value, forbidden
):
    other = world.run
    started = {**other.started, part: {**other.started[part], field: value}}
    monkeypatch.setattr(
        type(other), "started", property(lambda run: started if run is other else _started(run))
    )
    _started = type(other).__mro__[1].started.fget
    found = comparable(world.run, other)
    assert {name for name in ("masks", "errors", "perplexity") if not getattr(found, name)} == forbidden
