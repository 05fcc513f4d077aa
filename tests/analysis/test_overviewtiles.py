"""Overview tiles are what a brute-force reading of bands and blocks says, at every level."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperprune_lab.analysis import masktiles, overviewtiles, scoretiles
from hyperprune_lab.analysis.masktiles import MaskTiles
from hyperprune_lab.analysis.overviewtiles import OverviewTiles
from hyperprune_lab.analysis.scoretiles import ScoreTiles
from hyperprune_lab.analysis.sources import open_sources
from hyperprune_lab.errors import UserError
from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.record.masks import PackedMask
from tests.analysis.worlds import World, name_of

UP = name_of(1, "mlp.up_proj")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Tiles of 4 pixels, bands of 4 rows, blocks of 2 x 2."""
    for module in (masktiles, overviewtiles, scoretiles):
        monkeypatch.setattr(module, "TILE", 4)
    monkeypatch.setattr(overviewtiles, "BAND_LEVEL", 2)
    monkeypatch.setattr(overviewtiles, "BLOCK_LEVEL", 1)
    monkeypatch.setattr(overviewtiles, "_AT_ONCE", 30)


def random_mask(pattern: str, rows: int, columns: int, seed: int) -> np.ndarray:
    return NMPattern.parse(pattern).project(np.random.default_rng(seed).random((rows, columns)))


def whole(tiles: OverviewTiles, level: int, measure: str) -> np.ndarray:
    down, across = tiles.tiles.grid(level)
    made = [[getattr(tiles, measure)(level, y, x) for x in range(across)] for y in range(down)]
    assert all(tile.shown_level == level for line in made for tile in line)
    return np.vstack([np.hstack([tile.values for tile in line]) for line in made])


def is_furthest(value: float, values: np.ndarray) -> bool:
    """Whether it is one of those that are furthest from zero; which one, where they tie, does not matter."""
    return (
        np.isclose(abs(value), np.abs(values).max(), atol=1e-6) and np.isclose(values, value, atol=1e-6).any()
    )


def entropy(ids: np.ndarray, count: int) -> float:
    share = np.unique(ids, return_counts=True)[1] / ids.size
    most = math.log(min(count, ids.size))
    return float(-(share * np.log(share)).sum() / most) if most > 0 else math.nan


shapes = st.tuples(
    st.sampled_from(["2:4", "1:4", "4:8", "1:2", "2:3"]), st.integers(1, 21), st.integers(1, 4)
)


@settings(max_examples=12, deadline=None)
@given(shape=shapes, seed=st.integers(0, 99))
def test_every_pixel_says_what_stands_behind_it(shape, seed):
    name, rows, groups = shape
    pattern = NMPattern.parse(name)
    columns = groups * pattern.group
    ours, theirs = random_mask(name, rows, columns, seed), random_mask(name, rows, columns, seed + 1000)
    tiles = OverviewTiles(*(MaskTiles(PackedMask.of(mask, name)) for mask in (ours, theirs)))
    ids = pattern.ids(ours)
    for level in range(tiles.tiles.levels):
        made = {one: whole(tiles, level, one) for one in ("deviation", "shifted", "changed", "diversity")}
        assert made["deviation"].shape == tiles.tiles.shape(level)
        assert made["deviation"].dtype == np.float32
        band, block = max(4, 1 << level), max(2, 1 << level)
        for row, column in np.ndindex(*tiles.tiles.shape(level)):
            left = column << level
            top = (row << level) // band * band
            some = slice(top, top + band), slice(left, left + (1 << level))
            rate, other = ours[some].mean(0), theirs[some].mean(0)
            assert is_furthest(made["deviation"][row, column], rate - pattern.density)
            assert is_furthest(made["shifted"][row, column], rate - other)
            top, left = (row << level) // block * block, left // block * block
            some = slice(top, top + block), slice(left, left + block)
            differing = (ours[some] != theirs[some]).mean() / (2 * pattern.density)
            assert made["changed"][row, column] == pytest.approx(min(1.0, differing), abs=1e-6)
            widest = max(block, 1 << math.ceil(math.log2(pattern.group)))
            top, left = (row << level) // widest * widest, (column << level) // widest * widest
            some = slice(top, top + widest), slice(left, left + widest)
            first, last = -(-left // pattern.group), -(-(min(columns, left + widest)) // pattern.group)
            inside = ids[some[0], first:last]
            expected = entropy(inside, pattern.count) if inside.size > 1 else math.nan
            assert made["diversity"][row, column] == pytest.approx(expected, abs=1e-5, nan_ok=True)


def test_a_rate_is_as_uncertain_as_the_rows_behind_it_are_few():
    tiles = OverviewTiles(MaskTiles(PackedMask.of(random_mask("2:4", 100, 64, 0), "2:4")))
    assert [tiles.rows_behind(level) for level in range(4)] == [4, 4, 4, 8]
    assert tiles.chance(0) == pytest.approx(0.25)
    assert tiles.rows_behind(20) == 100


def test_the_kept_score_of_blocks(world: World, monkeypatch):
    run = world.run
    tiles = MaskTiles.of(run, UP)
    overview, scores = OverviewTiles(tiles), ScoreTiles.of(run, UP, tiles, open_sources(run))
    scores.build()
    energy = np.square(world.weights[UP] * world.rms(UP))
    kept = energy * world.masks[UP]
    for level in range(tiles.levels):
        block = max(2, 1 << level)
        down, across = tiles.grid(level)
        for y, x in np.ndindex(down, across):
            tile = overview.kept_score(scores, level, y, x)
            assert tile is not None
            for (row, column), value in np.ndenumerate(tile.values):
                top = ((4 * y + row) << level) // block * block
                left = ((4 * x + column) << level) // block * block
                some = slice(top, top + block), slice(left, left + block)
                assert value == pytest.approx(kept[some].sum() / energy[some].sum(), rel=1e-4)
    # Coarse levels are summed once, and until then there is nothing to show.
    monkeypatch.setattr(scoretiles, "_BASE_PIXELS", 20)
    unbuilt = ScoreTiles.of(run, UP, tiles, open_sources(run))
    assert overview.kept_score(unbuilt, tiles.levels - 1, 0, 0) is None
    unbuilt.build()
    assert overview.kept_score(unbuilt, tiles.levels - 1, 0, 0) is not None


def test_what_cannot_be_shown_is_said():
    alone = OverviewTiles(MaskTiles(PackedMask.of(random_mask("8:16", 4, 32, 0), "8:16")))
    for measure in ("changed", "shifted"):
        with pytest.raises(UserError, match="only one mask"):
            getattr(alone, measure)(0, 0, 0)
    with pytest.raises(UserError, match="too many to count"):
        alone.diversity(0, 0, 0)
    for place in ((9, 0, 0), (0, 5, 0), (0, 0, -1)):
        with pytest.raises(UserError, match="no tile"):
            alone.deviation(*place)
    assert alone.weights_behind(20) == 128
