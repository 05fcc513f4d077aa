"""Digests of channels say what the full tables say, at every threshold, and are read once."""

from __future__ import annotations

import numpy as np
import pytest

from hyperprune_lab.analysis import channel_digest
from hyperprune_lab.analysis.channel_digest import THRESHOLDS, digests, grid_counts, step_table
from hyperprune_lab.analysis.outliers import MASKS, channels, readers, summary
from hyperprune_lab.analysis.sources import open_sources
from hyperprune_lab.record.reader import open_run
from tests.analysis.worlds import World


@pytest.mark.parametrize("exact", [True, False])
def test_sums_give_the_summary_of_every_threshold(world: World, plain_world: World, exact: bool, monkeypatch):
    if not exact:
        monkeypatch.setattr(channel_digest, "open_sources", lambda run: open_sources(run, "nowhere"))
    for one in (world, plain_world):
        run = open_run(one.path)
        found = digests(run)
        assert found.exact == exact
        table = readers(run, sources=open_sources(run) if exact else None)
        steps = step_table(found.inputs)
        for threshold, row in zip(THRESHOLDS, steps.to_dict("records"), strict=True):
            full = summary(table, threshold)
            assert (row["count"], row["inputs"]) == (full.count, full.inputs)
            for name, of in (
                ("keep_rate", "keep_rate"),
                ("kept_energy", "kept_energy"),
                ("neighbors", "price"),
            ):
                for mask in MASKS:
                    expected = getattr(full, f"{of}{mask}")
                    assert row[f"{name}{mask}"] == pytest.approx(
                        np.nan if expected is None else expected, nan_ok=True
                    )


def test_the_loudest_have_names_and_the_rest_is_counted(world: World, monkeypatch):
    monkeypatch.setattr(channel_digest, "ROWS", 3)
    run = open_run(world.path)
    every = channels(readers(run, sources=open_sources(run)))
    for one in digests(run).inputs:
        part = every[(every["block"] == one.block) & (every["input"] == one.input)]
        assert one.channels == len(part) == len(one.loud) + one.crowd.sum()
        best = part.sort_values("rms_over_median", ascending=False).head(3)
        assert list(one.loud["channel"]) == list(best["channel"])
        np.testing.assert_allclose(one.loud["keep_rate"], best["keep_rate"])


def test_a_block_is_read_once_and_again_when_the_record_says_something_new(world: World, monkeypatch):
    read = []
    inner = channel_digest._of_block
    monkeypatch.setattr(
        channel_digest, "_of_block", lambda run, block, *rest: read.append(block) or inner(run, block, *rest)
    )
    run = open_run(world.path)
    whole = digests(run)
    digests(run)
    assert read == [0, 1, 2]
    first = next(e.seq for e in run.events(kinds=("BlockFinished",)))
    early = digests(run, as_of=first)
    assert {one.block for one in early.inputs} == {0}
    assert {one.block for one in whole.inputs} == {0, 1, 2}


def test_reading_stops_when_the_time_is_over_and_goes_on_when_asked_again(world: World):
    run = open_run(world.path)
    lefts = [digests(run, seconds=0.0).left for _ in range(4)]
    assert lefts == [2, 1, 0, 0]


def test_an_unfinished_run_has_the_blocks_that_are_finished(half_world: World):
    assert {one.block for one in digests(half_world.run).inputs} == {0, 1}
    assert digests(half_world.run, as_of=1).inputs == ()
    empty = step_table([])
    assert not empty["count"].any()
    assert empty["keep_rate"].isna().all()


def test_the_grid_counts_every_channel_that_has_a_place():
    ratio = np.array([0.0, 1e-9, 0.1, 1.0, 99.0, 100.0, 1e6, np.nan, 1.0])
    rate = np.array([0.0, 1.0, 0.5, 0.5, 1.0, 1.0, 0.0, 0.5, np.nan])
    counts = grid_counts(ratio, rate)
    assert counts.sum() == 7
    assert counts[0, 0] == 1
    assert counts[0, -1] == 1
    assert counts[-1, -1] == 2
    assert counts[-1, 0] == 1
    assert counts[20, 20] == 1
