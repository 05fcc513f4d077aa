"""Patterns against brute force over every mask of a group."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hyperprune_lab.errors import UserError
from hyperprune_lab.patterns import NMPattern, pack, unpack

SMALL = [NMPattern(k, m) for m in (2, 3, 4, 8) for k in range(1, m)]
small = st.sampled_from(SMALL)
any_pattern = st.integers(2, 32).flatmap(lambda m: st.builds(NMPattern, st.integers(1, m - 1), st.just(m)))


def random_mask(pattern: NMPattern, rows: int, groups: int, seed: int) -> np.ndarray:
    scores = np.random.default_rng(seed).random((rows, groups * pattern.group))
    return pattern.project(scores)


def test_the_table_has_the_order_of_the_field():
    rows = ["".join("01"[int(bit)] for bit in row) for row in NMPattern(2, 4).table()]
    assert rows == ["1100", "1010", "1001", "0110", "0101", "0011"]


@pytest.mark.parametrize("pattern", SMALL, ids=str)
def test_the_table_is_every_mask_once_and_read_only(pattern):
    table = pattern.table()
    kept = [tuple(np.flatnonzero(row)) for row in table]
    assert kept == list(combinations(range(pattern.group), pattern.keep))
    assert len(kept) == pattern.count == comb(pattern.group, pattern.keep)
    with pytest.raises(ValueError, match="read-only"):
        table[0, 0] = False


@settings(max_examples=80, deadline=None)
@given(small, st.data())
def test_projection_is_the_best_of_all_masks(pattern, data):
    shape = (2, 2 * pattern.group)
    numbers = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e3, 1e3, width=32), st.just(float("-inf")))
    score = data.draw(hnp.arrays(np.float32, shape, elements=numbers))
    mask = pattern.project(score)
    groups = score.reshape(-1, pattern.group)
    for scores, chosen in zip(groups, mask.reshape(-1, pattern.group), strict=True):
        # The field's rule, one group at a time: largest first, ties to the lowest index.
        expected = sorted(range(pattern.group), key=lambda index: (-scores[index], index))[: pattern.keep]
        assert set(np.flatnonzero(chosen)) == set(expected)
        if np.isfinite(scores).all():
            sums = [scores[row].astype(np.float64).sum() for row in pattern.table()]
            assert scores[chosen].astype(np.float64).sum() == pytest.approx(max(sums), rel=1e-12, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(any_pattern, st.integers(0, 2**31), st.booleans())
def test_torch_and_numpy_agree(pattern, seed, tied):
    score = np.random.default_rng(seed).normal(size=(2, 3, 2 * pattern.group))
    score = np.round(score) if tied else score
    mask = pattern.project(score)
    as_torch = pattern.project(torch.from_numpy(score))
    assert as_torch.dtype == torch.bool
    assert np.array_equal(as_torch.numpy(), mask)
    ids = pattern.ids(mask)
    torch_ids = pattern.ids(as_torch)
    assert ids.dtype == np.int32
    assert torch_ids.dtype == torch.int32
    assert np.array_equal(torch_ids.numpy(), ids)
    assert torch.equal(pattern.from_ids(torch_ids), as_torch)
    assert pattern.violations(mask) == pattern.violations(as_torch) == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64, np.float16, np.bool_])
def test_projection_of_integers_does_not_overflow(dtype):
    smallest = np.iinfo(dtype).min if np.issubdtype(dtype, np.integer) else 0
    score = np.array([[smallest, 1, 0, 1]]).astype(dtype)
    assert NMPattern(2, 4).project(score).tolist() == [[False, True, False, True]]


def test_projection_of_bfloat16_and_gradients():
    score = torch.tensor([[1.0, 3.0, 2.0, 3.0]], dtype=torch.bfloat16, requires_grad=True)
    mask = NMPattern(1, 4).project(score)
    assert mask.tolist() == [[False, True, False, False]]
    assert not mask.requires_grad


def test_nan_scores_are_refused():
    score = np.array([[1.0, np.nan, 0, 0]])
    for array in (score, torch.from_numpy(score)):
        with pytest.raises(UserError, match="NaN"):
            NMPattern(2, 4).project(array)


@settings(max_examples=60, deadline=None)
@given(any_pattern, st.integers(0, 2**31))
def test_ids_round_trip_for_every_pattern(pattern, seed):
    mask = random_mask(pattern, 3, 2, seed)
    ids = pattern.ids(mask)
    assert ids.shape == (3, 2)
    assert ids.min() >= 0
    assert ids.max() < pattern.count
    assert np.array_equal(pattern.from_ids(ids), mask)


@pytest.mark.parametrize("pattern", [*SMALL, NMPattern(8, 16), NMPattern(3, 16)], ids=str)
def test_ids_are_rows_of_the_table(pattern):
    table = pattern.table()
    assert np.array_equal(pattern.ids(table)[:, 0], np.arange(pattern.count))
    assert np.array_equal(pattern.from_ids(np.arange(pattern.count)[:, None]), table)


def test_the_last_mask_of_the_largest_group_has_the_last_id():
    pattern = NMPattern(16, 32)
    mask = np.arange(32)[None] >= 16
    assert pattern.ids(mask).item() == comb(32, 16) - 1
    assert np.array_equal(pattern.from_ids(pattern.ids(mask)), mask)


@pytest.mark.parametrize("ids", [np.array([[6]]), np.array([[-1]]), torch.tensor([[6]])])
def test_ids_outside_the_pattern_are_refused(ids):
    with pytest.raises(UserError, match="0 to 5"):
        NMPattern(2, 4).from_ids(ids)


@settings(max_examples=60, deadline=None)
@given(small, st.integers(0, 2**31))
def test_violations_count_groups_one_by_one(pattern, seed):
    mask = np.random.default_rng(seed).random((4, 3 * pattern.group)) < 0.5
    expected = sum(group.sum() != pattern.keep for group in mask.reshape(-1, pattern.group))
    assert pattern.violations(mask) == pattern.violations(torch.from_numpy(mask)) == expected
    if expected:
        with pytest.raises(UserError, match="keep exactly"):
            pattern.ids(mask)


def test_a_mask_must_be_boolean():
    with pytest.raises(TypeError, match="boolean"):
        NMPattern(2, 4).violations(np.ones((1, 4)))
    with pytest.raises(TypeError):
        pack(np.ones((1, 4)))


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(bool, st.tuples(st.integers(1, 5), st.integers(1, 40))))
def test_packing_round_trips(mask):
    packed = pack(mask)
    assert packed.dtype == np.uint8
    assert packed.shape == (mask.shape[0], (mask.shape[1] + 7) // 8)
    assert np.array_equal(unpack(packed, mask.shape[1]), mask)
    for column in range(mask.shape[1]):
        assert np.array_equal((packed[:, column // 8] >> (column % 8)) & 1, mask[:, column])


def test_a_packed_mask_of_another_width_is_refused():
    packed = pack(np.ones((2, 12), dtype=bool))
    with pytest.raises(UserError, match="20 weights"):
        unpack(packed, 20)
    with pytest.raises(UserError, match="beyond"):
        unpack(packed, 10)


def test_patterns_are_parsed_described_and_ordered():
    pattern = NMPattern.parse("2:4")
    assert pattern == NMPattern(2, 4)
    assert str(pattern) == "2:4"
    assert pattern.density == 0.5
    assert pattern.describe() == "keeps 2 of every 4 (2:4)"
    assert NMPattern.parse(" 8:16 ") == NMPattern(8, 16)
    assert min(NMPattern(4, 8), NMPattern(1, 4), NMPattern(2, 4)) == NMPattern(1, 4)
    assert NMPattern(4, 8).enumerable
    assert not NMPattern(8, 16).enumerable


MALFORMED = ["4:4", "5:4", "0:4", "2-4", "a:b", "2:4:8", ":", "2:", ":4", "-1:4", "2.0:4", "32:64", "٢:٤"]


@pytest.mark.parametrize("text", ["", "2 : 4", "9" * 5000 + ":4", *MALFORMED])
def test_malformed_patterns_are_refused(text):
    with pytest.raises(UserError):
        NMPattern.parse(text)


def test_a_width_that_does_not_divide_names_module_shape_and_a_way_out():
    NMPattern(4, 8).require(64, "model.layers.0.mlp.up_proj")
    with pytest.raises(UserError) as error:
        NMPattern(4, 8).require(44, "model.layers.0.mlp.up_proj", 16)
    message = str(error.value)
    assert "model.layers.0.mlp.up_proj" in message
    assert "[16, 44]" in message
    assert "2:4" in message
    with pytest.raises(UserError, match="dense"):
        NMPattern(2, 4).require(37, "prime")


def test_arrays_that_do_not_divide_are_refused():
    for array in (np.zeros((2, 6)), np.zeros(()), np.zeros((2, 0))):
        with pytest.raises(UserError, match="groups of 4"):
            NMPattern(2, 4).project(array)
