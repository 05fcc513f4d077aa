"""Loud channels: who they are, what was kept of them, and what that cost their neighbors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperprune_lab.analysis.outliers import (
    channels,
    dumbbells,
    neighbors_rate,
    readers,
    rms_over_median,
    summary,
)
from hyperprune_lab.analysis.sources import open_sources
from hyperprune_lab.patterns import NMPattern
from tests.analysis.worlds import SHAPES, World

LOUD = 5


def test_each_reader_of_each_channel_has_its_rates(world: World):
    table = readers(world.run)
    assert len(table) == 3 * sum(width for _, width in SHAPES.values())
    for module, part in table.groupby("module"):
        ratio = world.rms(module) / np.median(world.rms(module))
        np.testing.assert_allclose(part["rms_over_median"], ratio, rtol=1e-5)
        np.testing.assert_allclose(part["keep_rate"], world.masks[module].mean(0))
        np.testing.assert_allclose(part["keep_rate_wanda"], world.wanda[module].mean(0), rtol=1e-6)
        np.testing.assert_allclose(part["keep_rate_magnitude"], world.magnitude[module].mean(0), rtol=1e-6)
        squares = np.square(world.weights[module])
        np.testing.assert_allclose(
            part["kept_energy"], (squares * world.masks[module]).sum(0) / squares.sum(0), rtol=1e-5
        )


def test_the_headline_is_the_share_of_all_weights_that_loud_channels_feed(world: World):
    found = summary(readers(world.run))
    kept, total = (
        sum(getattr(world, kind)[m][:, LOUD].sum() for m in world.masks)
        if kind
        else sum(len(m) for m in world.masks.values())
        for kind in ("masks", "")
    )
    wanda = sum(mask[:, LOUD].sum() for mask in world.wanda.values())
    assert (found.count, found.inputs, found.measured) == (6, 6, 6)
    assert found.keep_rate == pytest.approx(kept / total)
    assert found.keep_rate_wanda == pytest.approx(wanda / total, rel=1e-6)
    assert found.rule == "≥ 6 × median: 6 channels"
    assert found.headline.startswith(
        f"6 outlier channels in 6 inputs keep {kept / total:.0%} of their weights (Wanda {wanda / total:.0%}, "
    )
    neighbors = sum(mask[:, [4, 6, 7]].mean(1).sum() for mask in world.masks.values())
    assert found.price == pytest.approx(neighbors / total)
    assert found.loudest_at is not None
    assert found.loudest_at[2] == LOUD


def test_with_weights_energies_are_exact_for_all_three(world: World):
    found = summary(readers(world.run, sources=open_sources(world.run)))
    for masks, value in (
        (world.masks, found.kept_energy),
        (world.wanda, found.kept_energy_wanda),
        (world.magnitude, found.kept_energy_magnitude),
    ):
        kept = sum(np.square(w[:, LOUD] * masks[m][:, LOUD]).sum() for m, w in world.weights.items())
        assert value == pytest.approx(
            kept / sum(np.square(w[:, LOUD]).sum() for w in world.weights.values()), rel=1e-5
        )


def test_channels_add_their_readers_up(world: World):
    table = channels(readers(world.run, blocks=[1], sources=open_sources(world.run)))
    assert len(table) == 16 + 24
    row = table[(table["input"] == "self_attn.q_proj+k_proj") & (table["channel"] == 9)].iloc[0]
    both = np.vstack([world.masks[f"model.layers.1.self_attn.{name}"] for name in ("q_proj", "k_proj")])
    weights = np.vstack([world.weights[f"model.layers.1.self_attn.{name}"] for name in ("q_proj", "k_proj")])
    assert row["rows"] == 18
    assert row["keep_rate"] == pytest.approx(both[:, 9].mean())
    assert row["kept_energy"] == pytest.approx(
        np.square(weights * both)[:, 9].sum() / np.square(weights)[:, 9].sum()
    )


def test_without_outliers_it_says_so_and_lists_the_loudest_all_the_same(plain_world: World):
    table = readers(plain_world.run)
    found = summary(table)
    assert found.count == 0
    assert found.keep_rate is None
    assert found.price is None
    assert "No channel is an outlier: none reaches 6 × the median" in found.headline
    assert found.loudest is not None
    assert f"{found.loudest:.1f} ×" in found.headline
    top = dumbbells(table, top=7)
    assert len(top) == 7
    assert not top["outlier"].any()
    assert top["rms_over_median"].is_monotonic_decreasing
    assert top["rms_over_median"].iloc[0] == pytest.approx(found.loudest)


def test_the_threshold_decides_who_is_an_outlier(world: World):
    table = readers(world.run)
    assert summary(table, 1e9).count == 0
    assert summary(table, 0.0).count == 3 * (16 + 24)
    assert list(dumbbells(table, top=8)["outlier"]) == [True] * 6 + [False] * 2


def test_unfinished_blocks_are_left_out(half_world: World):
    assert set(readers(half_world.run)["block"]) == {0, 1}
    empty = readers(half_world.run, as_of=1)
    assert empty.empty
    assert summary(empty).headline == "No input has been measured yet."
    assert dumbbells(empty).empty
    assert channels(empty).empty


@given(rate=st.lists(st.floats(0, 1), min_size=8, max_size=8), pattern=st.sampled_from(["1:2", "2:4", "4:8"]))
def test_neighbors_share_what_a_channel_leaves(rate, pattern):
    """In any n:m mask a channel and its m - 1 neighbors keep n rates together."""
    group = NMPattern.parse(pattern).group
    rates = np.array(rate)
    found = neighbors_rate(rates, NMPattern.parse(pattern))
    np.testing.assert_allclose(
        rates + (group - 1) * found, np.repeat(rates.reshape(-1, group).sum(1), group), atol=1e-12
    )


@given(st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e3)), min_size=1, max_size=30), st.floats(1e-3, 1e3))
def test_the_ratio_knows_no_unit_and_the_dead_do_not_count_as_quiet(values, unit):
    rms = np.array(values)
    ratio = rms_over_median(rms)
    if not rms.any():
        assert np.isnan(ratio).all()
        return
    np.testing.assert_allclose(rms_over_median(rms * unit), ratio, rtol=1e-6)
    median = np.median(rms) or np.median(rms[rms > 0])
    np.testing.assert_allclose(ratio * median, rms, rtol=1e-9)
