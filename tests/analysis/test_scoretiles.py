"""Kept-score share at every level, by brute force, and what stands in where a level is not built."""

from __future__ import annotations

import numpy as np
import pytest

from hyperprune_lab.analysis import masktiles, scoretiles
from hyperprune_lab.analysis.masktiles import MaskTiles
from hyperprune_lab.analysis.scoretiles import ScoreTiles
from hyperprune_lab.analysis.sources import open_sources
from hyperprune_lab.errors import UserError
from tests.analysis.worlds import World, name_of

UP = name_of(1, "mlp.up_proj")


@pytest.fixture
def tiles(world: World, monkeypatch) -> ScoreTiles:
    """Tiles of 4 pixels; levels from 1 on are summed once, in bands of few rows."""
    for module in (masktiles, scoretiles):
        monkeypatch.setattr(module, "TILE", 4)
    monkeypatch.setattr(scoretiles, "_BASE_PIXELS", 130)
    monkeypatch.setattr(scoretiles, "_AT_ONCE", 100)
    return ScoreTiles.of(world.run, UP, MaskTiles.of(world.run, UP), open_sources(world.run))


def share(world: World, rows: slice, columns: slice) -> float:
    energy = np.square(world.weights[UP] * world.rms(UP))[rows, columns]
    return float((energy * world.masks[UP][rows, columns]).sum() / energy.sum())


def test_every_tile_is_the_share_of_its_weights(world: World, tiles: ScoreTiles):
    assert tiles.base == 1
    for level in range(tiles.tiles.levels):
        step = 1 << level
        for y in range(tiles.tiles.grid(level)[0]):
            for x in range(tiles.tiles.grid(level)[1]):
                tile = tiles.share(level, y, x)
                assert (tile.level, tile.shown_level) == (level, level)
                for (down, across), value in np.ndenumerate(tile.values):
                    rows = slice((4 * y + down) * step, (4 * y + down + 1) * step)
                    columns = slice((4 * x + across) * step, (4 * x + across + 1) * step)
                    assert value == pytest.approx(share(world, rows, columns), rel=1e-4)


def test_without_waiting_a_missing_level_shows_its_parent(tiles: ScoreTiles):
    before = tiles.share(0, 1, 2, wait=False)
    assert np.isnan(before.values).all()
    tiles.build()
    after = tiles.share(0, 1, 2, wait=False)
    parent = tiles.share(1, 0, 1).values
    assert after.shown_level == 1
    assert (after.values == np.repeat(np.repeat(parent[2:4, 0:2], 2, 0), 2, 1)).all()


def test_the_window_has_weights_scores_and_mask(world: World, tiles: ScoreTiles):
    window = tiles.window(slice(2, 9), slice(3, 11))
    assert (window.weights == world.weights[UP][2:9, 3:11]).all()
    assert (window.kept == world.masks[UP][2:9, 3:11]).all()
    np.testing.assert_allclose(window.scores, np.abs(world.weights[UP] * world.rms(UP))[2:9, 3:11], rtol=1e-6)


def test_without_weights_it_says_why(world: World, tmp_path):
    missing = open_sources(world.run, tmp_path / "nowhere")
    with pytest.raises(UserError, match="only masks can be shown"):
        ScoreTiles.of(world.run, UP, MaskTiles.of(world.run, UP), missing)


def test_a_tile_beyond_the_edge_is_refused(tiles: ScoreTiles):
    with pytest.raises(UserError, match="no tile 9, 0 at level 0"):
        tiles.share(0, 9, 0)
