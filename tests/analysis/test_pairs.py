"""Masks of two runs module by module: against counting group by group, whole or a file at a time."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from hyperprune_lab.analysis.pairs import compare_masks
from tests.widgets import tinyrun
from tests.widgets.tinyrun import Tiny


def written(folder: Path, name: str, **settings):
    return tinyrun.write_run(folder / name, Tiny(**settings))


def counted(run, other, module: str, group: int = 4) -> tuple[float, float]:
    one, two = (r.packed_mask(module).unpack() for r in (run, other))
    rows = [
        (one[r, c : c + group].tolist() == two[r, c : c + group].tolist())
        for r in range(one.shape[0])
        for c in range(0, one.shape[1], group)
    ]
    kept = sum(bool(a and b) for a, b in zip(one.ravel(), two.ravel(), strict=True))
    return sum(rows) / len(rows), kept / int(one.sum())


def test_shares_are_counted_group_by_group(tmp_path):
    one, other = (written(tmp_path, f"r{seed}", seed=seed) for seed in (1, 2))
    pair = compare_masks(one, other)
    assert pair.left == 0
    assert sorted(pair.table["module"]) == sorted(one.modules()["module"])
    for module, groups, patterns, weights in pair.table.itertuples(index=False):
        assert (patterns, weights) == pytest.approx(counted(one, other, module))
        assert groups == one.packed_mask(module).unpack().size // 4
    every = [counted(one, other, module)[0] for module in pair.table["module"]]
    assert pair.patterns == pytest.approx(np.mean(every)), "all modules have as many groups"
    assert 0 < pair.patterns < 1
    back = compare_masks(other, one).table.sort_values("module")
    np.testing.assert_array_equal(back["patterns"], pair.table.sort_values("module")["patterns"])
    assert compare_masks(one, one).patterns == 1


def test_with_little_time_the_rest_follows(tmp_path):
    one, other = (written(tmp_path, f"r{seed}", seed=seed) for seed in (3, 4))
    past = time.monotonic() - 1
    left = [compare_masks(one, other, deadline=past).left]
    while left[-1]:
        left.append(compare_masks(one, other, deadline=past).left)
    assert len(left) > 1, "there is more than one file"
    assert left == sorted(set(left), reverse=True)
    assert compare_masks(one, other, deadline=past).patterns == compare_masks(one, other).patterns


def test_other_patterns_and_shapes_are_unknown(tmp_path):
    one = written(tmp_path, "one", seed=5)
    for other in (
        written(tmp_path, "pattern", pattern="1:4", seed=6),
        written(tmp_path, "shape", width=32, seed=6),
    ):
        pair = compare_masks(one, other)
        assert pair.table["patterns"].isna().all()
        assert np.isnan(pair.patterns)


def test_only_what_was_decided_by_both_and_by_then(tmp_path):
    one = written(tmp_path, "one", seed=7)
    half = tinyrun.write_run(tmp_path / "half", Tiny(seed=8), stop_after=18)
    decided = set(half.modules()["module"])
    assert 0 < len(decided) < len(one.modules())
    assert set(compare_masks(one, half).table["module"]) == decided
    first = min(event.seq for event in one.events(kinds=("ModuleDecided",)))
    assert len(compare_masks(one, one, as_of=first).table) <= 1
