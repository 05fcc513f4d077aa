"""Every tile of every level is what a brute-force reading of the mask says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperprune_lab.analysis import masktiles
from hyperprune_lab.analysis.masktiles import MaskTiles, column_keep_rate, reference_mask
from hyperprune_lab.errors import UserError
from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.record.masks import PackedMask
from tests.analysis.worlds import World, name_of


def random_mask(pattern: str, rows: int, columns: int, seed: int) -> np.ndarray:
    return NMPattern.parse(pattern).project(np.random.default_rng(seed).random((rows, columns)))


def squares(mask: np.ndarray, level: int) -> tuple[list[slice], list[slice]]:
    """The rows and the columns behind each pixel."""
    step = 1 << level
    return tuple([slice(first, first + step) for first in range(0, size, step)] for size in mask.shape)


def extreme(values: np.ndarray) -> float:
    """Whichever is further from zero; the positive one on a tie."""
    return max(values, key=lambda value: (round(abs(value), 12), value))


def whole(tiles: MaskTiles, level: int, measure: str) -> np.ndarray:
    down, across = tiles.grid(level)
    return np.vstack(
        [np.hstack([getattr(tiles, measure)(level, y, x).values for x in range(across)]) for y in range(down)]
    )


shapes = st.tuples(
    st.sampled_from(["2:4", "1:4", "4:8", "1:2", "2:3", "8:16"]), st.integers(1, 41), st.integers(1, 5)
)


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    monkeypatch.setattr(masktiles, "TILE", 4)


@settings(max_examples=25, deadline=None)
@given(shape=shapes, seed=st.integers(0, 99))
def test_tiles_of_every_level_agree_with_brute_force(shape, seed):
    pattern, rows, groups = shape
    columns = groups * NMPattern.parse(pattern).group
    ours, theirs = random_mask(pattern, rows, columns, seed), random_mask(pattern, rows, columns, seed + 1000)
    tiles = MaskTiles(PackedMask.of(ours, pattern), PackedMask.of(theirs, pattern))
    density = tiles.pattern.density
    for level in range(tiles.levels):
        down, across = squares(ours, level)
        expected = {
            "deviation": [[extreme(ours[y, x].mean(0) - density) for x in across] for y in down],
            "shifted": [[extreme(ours[y, x].mean(0) - theirs[y, x].mean(0)) for x in across] for y in down],
            "changed": [[(ours ^ theirs)[y, x].mean() / (2 * density) for x in across] for y in down],
        }
        for measure, values in expected.items():
            np.testing.assert_allclose(
                whole(tiles, level, measure), values, atol=1e-6, err_msg=f"{measure} {level}"
            )
    kept = [[tiles.kept(y, x).values for x in range(tiles.grid(0)[1])] for y in range(tiles.grid(0)[0])]
    assert (np.block(kept) == ours).all()
    codes = [
        [tiles.difference(y, x).values for x in range(tiles.grid(0)[1])] for y in range(tiles.grid(0)[0])
    ]
    assert (np.block(codes) == ours + 2 * theirs).all()


@settings(max_examples=15, deadline=None)
@given(shape=shapes, seed=st.integers(0, 99))
def test_rulers_and_pattern_numbers_agree_with_the_unpacked_mask(shape, seed):
    pattern, rows, groups = shape
    columns = groups * NMPattern.parse(pattern).group
    mask = random_mask(pattern, rows, columns, seed)
    tiles = MaskTiles(PackedMask.of(mask, pattern))
    np.testing.assert_allclose(tiles.column_keep_rate(), mask.mean(0))
    np.testing.assert_allclose(tiles.row_keep_rate(), np.full(rows, tiles.pattern.density))
    window = slice(rows // 2, rows), slice(groups // 2, groups)
    assert (tiles.pattern_ids(*window) == tiles.pattern.ids(mask)[window]).all()


def test_counts_beyond_a_byte_are_exact(monkeypatch):
    monkeypatch.setattr(masktiles, "TILE", 1)
    mask = random_mask("3:4", 700, 8, 0)
    mask[:, 1] = True
    tiles = MaskTiles(PackedMask(NMPattern(3, 4), 8, np.packbits(mask, axis=1, bitorder="little")))
    counts = tiles._ours.window(9, slice(0, 2), slice(0, 8))
    assert (counts == [mask[:512].sum(0), mask[512:].sum(0)]).all()
    np.testing.assert_allclose(column_keep_rate(tiles.mask), mask.mean(0))


def test_the_overview_shows_what_an_average_would_hide():
    """One column that is always kept stands out at the coarsest level; the mean over groups is n/m everywhere."""
    mask = random_mask("2:4", 64, 64, 0)
    mask[:, 20:24] = [True, False, True, False]
    tiles = MaskTiles(PackedMask.of(mask, "2:4"))
    top = tiles.levels - 1
    values = whole(tiles, top, "deviation")
    assert np.abs(values[:, 20 >> top]).min() == 0.5
    assert np.abs(np.delete(values, 20 >> top, 1)).max() < 0.5


@settings(max_examples=15, deadline=None)
@given(rows=st.integers(1, 60), groups=st.integers(1, 20))
def test_every_tile_has_a_parent_that_covers_it(rows, groups):
    tiles = MaskTiles(PackedMask.of(random_mask("2:4", rows, 4 * groups, 0), "2:4"))
    assert tiles.grid(tiles.levels - 1) == (1, 1)
    for level in range(tiles.levels):
        for y in range(tiles.grid(level)[0]):
            for x in range(tiles.grid(level)[1]):
                up, above, beside = tiles.parent(level, y, x)
                assert up == min(level + 1, tiles.levels - 1)
                assert above < tiles.grid(up)[0]
                assert beside < tiles.grid(up)[1]
                assert above << (up - level) <= y
                assert beside << (up - level) <= x


def test_chance_is_the_spread_of_random_columns():
    tiles = MaskTiles(PackedMask.of(random_mask("2:4", 4096, 64, 0), "2:4"))
    rates = tiles._ours.window(4, slice(0, 256), slice(0, 64)) / 16
    assert rates.std() == pytest.approx(tiles.chance(4), rel=0.02)


def test_what_cannot_be_laid_over_each_other_is_refused_with_both_shapes():
    one = PackedMask.of(random_mask("2:4", 3, 8, 0), "2:4")
    with pytest.raises(UserError, match=r"2:4 \[3, 8\] and 4:8 \[3, 8\]"):
        MaskTiles(one, PackedMask.of(random_mask("4:8", 3, 8, 0), "4:8"))
    with pytest.raises(UserError, match="only one mask"):
        MaskTiles(one).changed(0, 0, 0)
    with pytest.raises(UserError, match="no tile 7, 0 at level 0"):
        MaskTiles(one).deviation(0, 7, 0)


def test_recorded_masks_and_references(world: World, plain_world: World):
    module = name_of(1, "mlp.up_proj")
    tiles = MaskTiles.of(world.run, module, against="wanda")
    assert (tiles.bits(slice(0, 20), slice(0, 24)) == world.masks[module]).all()
    assert tiles.other is not None
    assert (tiles.other.unpack() == world.wanda[module]).all()
    with pytest.raises(UserError, match="did not record the mask of wanda"):
        reference_mask(plain_world.run, module, "wanda")
