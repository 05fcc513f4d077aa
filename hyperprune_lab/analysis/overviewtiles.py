"""A mask from afar: tiles whose pixels say something at every zoom, however small the matrix.

Knows nothing about colors. Two rows to a pixel would show chance and nothing else, so a pixel shares its value with its
neighbors until enough weights stand behind it: keep-rates of columns are taken over bands of at least 32 rows (and a
pixel shows the column in it that deviates most), shares and diversities over blocks of at least 8 x 8 weights.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from hyperprune_lab.analysis.masktiles import TILE, ColumnCounts, MaskTiles, Tile
from hyperprune_lab.analysis.scoretiles import ScoreTiles
from hyperprune_lab.errors import UserError

BAND_LEVEL = 5
BLOCK_LEVEL = 3

_AT_ONCE = 1 << 22


class _Cells(NamedTuple):
    """What stands behind a tile: cells of ``2^rows_level x 2^columns_level`` weights, and where they lie."""

    rows: slice
    columns: slice
    rows_level: int
    columns_level: int
    row_of: np.ndarray
    column_of: np.ndarray

    def spread(self, values: np.ndarray) -> Float[np.ndarray, "rows columns"]:
        """Each cell's value at every pixel of it."""
        return values[np.ix_(self.row_of, self.column_of)].astype(np.float32)


class OverviewTiles:
    """One mask, alone or against another: ``deviation``, ``shifted``, ``changed``, ``diversity``, ``kept_score``."""

    def __init__(self, tiles: MaskTiles, other: MaskTiles | None = None) -> None:
        self.tiles, self.other = tiles, other
        self._differing: ColumnCounts | None = None

    def rows_behind(self, level: int) -> int:
        """Over how many rows a column's keep-rate is taken at this level."""
        return min(1 << max(level, BAND_LEVEL), max(1, self.tiles.mask.shape[0]))

    def chance(self, level: int) -> float:
        """Standard deviation of such a keep-rate if rows chose at random."""
        density = self.tiles.pattern.density
        return math.sqrt(density * (1 - density) / self.rows_behind(level))

    def deviation(self, level: int, y: int, x: int) -> Tile:
        """Signed extreme deviation of a column's keep-rate from n/m within each pixel, fp32 in -n/m to 1 - n/m."""
        cells = self._cells(level, y, x, max(level, BAND_LEVEL), level)
        rates = self._rates(self.tiles.counts, cells) - np.float32(self.tiles.pattern.density)
        return Tile(level, y, x, level, "deviation", cells.spread(_furthest(rates, level)))

    def shifted(self, level: int, y: int, x: int) -> Tile:
        """Signed extreme difference of column keep-rates, ours less the other's, fp32 in -1 to 1."""
        other = self._other()
        cells = self._cells(level, y, x, max(level, BAND_LEVEL), level)
        rates = self._rates(self.tiles.counts, cells) - self._rates(other.counts, cells)
        return Tile(level, y, x, level, "shifted", cells.spread(_furthest(rates, level)))

    def changed(self, level: int, y: int, x: int) -> Tile:
        """Share of the kept weights that the other mask does not keep, fp32 in 0 to 1."""
        other = self._other()
        if self._differing is None:
            different = self.tiles.mask.packed ^ other.mask.packed
            self._differing = ColumnCounts(different, self.tiles.mask.in_features)
        block = max(level, BLOCK_LEVEL)
        cells = self._cells(level, y, x, block, block)
        differing = self._rates(self._differing, cells)
        starts = np.arange(0, differing.shape[1], 1 << block)
        means = np.add.reduceat(differing, starts, axis=1) / np.diff([*starts, differing.shape[1]])
        share = np.minimum(1.0, means / (2 * self.tiles.pattern.density))
        return Tile(level, y, x, level, "changed", cells.spread(share))

    def diversity(self, level: int, y: int, x: int) -> Tile:
        """Entropy of the patterns of a block's groups over the most it could be: 0 all alike, 1 as mixed as can be.

        Numbers of patterns cannot be averaged, but how diverse they are can be said. fp32; a group belongs to the
        block that holds its first column; NaN where there is no second group. A coarse tile takes up to a second.

        Raises:
            UserError: the groups have too many patterns to count each of them.
        """
        pattern = self.tiles.pattern
        if not pattern.enumerable:
            raise UserError(f"{pattern} has {pattern.count} patterns: too many to count each of them.")
        block = max(level, BLOCK_LEVEL, math.ceil(math.log2(pattern.group)))
        cells = self._cells(level, y, x, block, block)
        step = max(1, _AT_ONCE // max(1, cells.columns.stop - cells.columns.start) >> block) << block
        parts = [
            self._diversity(slice(first, min(cells.rows.stop, first + step)), cells.columns, block)
            for first in range(cells.rows.start, cells.rows.stop, step)
        ]
        return Tile(level, y, x, level, "diversity", cells.spread(np.concatenate(parts)))

    def kept_score(self, scores: ScoreTiles, level: int, y: int, x: int) -> Tile | None:
        """Share of the score that is kept, fp32; None where ``scores`` has first to be built."""
        if level >= BLOCK_LEVEL:
            tile = scores.share(level, y, x, wait=level < scores.base)
            return tile if tile.shown_level == level else None
        cells = self._cells(level, y, x, BLOCK_LEVEL, BLOCK_LEVEL)
        window = scores.window(cells.rows, cells.columns)
        energy = np.square(window.scores)
        kept, total = (_pooled(part, BLOCK_LEVEL) for part in (energy * window.kept, energy))
        share = np.divide(kept, total, out=np.full_like(kept, np.nan), where=total > 0)
        return Tile(level, y, x, level, "kept score", cells.spread(share))

    def weights_behind(self, level: int) -> int:
        """How many weights stand behind a whole tile: what counting patterns costs."""
        rows, columns = self.tiles.mask.shape
        return min(rows, TILE << level) * min(columns, TILE << level)

    # -- inside

    def _other(self) -> MaskTiles:
        if self.other is None:
            raise UserError("There is only one mask here: name another one to see where they differ.")
        return self.other

    def _cells(self, level: int, y: int, x: int, rows_level: int, columns_level: int) -> _Cells:
        down, across = self.tiles.grid(level) if 0 <= level < self.tiles.levels else (0, 0)
        rows, columns = self.tiles.mask.shape
        if not (0 <= y < down and 0 <= x < across):
            raise UserError(f"There is no tile {y}, {x} at level {level} of a mask of {[rows, columns]}.")
        height, width = self.tiles.shape(level)
        row = np.arange(y * TILE, min(height, (y + 1) * TILE)) << level >> rows_level
        column = np.arange(x * TILE, min(width, (x + 1) * TILE)) << level >> columns_level
        return _Cells(
            slice(int(row[0]) << rows_level, min(rows, (int(row[-1]) + 1) << rows_level)),
            slice(int(column[0]) << columns_level, min(columns, (int(column[-1]) + 1) << columns_level)),
            rows_level,
            columns_level,
            row - row[0],
            column - column[0],
        )

    def _rates(self, counts: ColumnCounts, cells: _Cells) -> Float[np.ndarray, "cells columns"]:
        """How often each column is set in each band of rows."""
        level = cells.rows_level
        band = slice(cells.rows.start >> level, -(-cells.rows.stop // (1 << level)))
        found = counts.window(level, band, cells.columns).astype(np.float32)
        return found / counts.covered(level, band)[:, None].astype(np.float32)

    def _diversity(self, rows: slice, columns: slice, level: int) -> Float[np.ndarray, "down across"]:
        pattern = self.tiles.pattern
        groups = slice(-(-columns.start // pattern.group), -(-columns.stop // pattern.group))
        height, width = (-(-(part.stop - part.start) >> level) for part in (rows, columns))
        if groups.start >= groups.stop:
            return np.full((height, width), np.nan)
        ids = self.tiles.pattern_ids(rows, groups).astype(np.int64)
        line = (np.arange(rows.stop - rows.start) >> level)[:, None]
        across = (np.arange(groups.start, groups.stop) * pattern.group - columns.start) >> level
        cell = (line * width + across[None, :]) * pattern.count + ids
        seen = np.bincount(cell.ravel(), minlength=height * width * pattern.count)
        seen = seen.reshape(height, width, pattern.count)
        total = seen.sum(2, keepdims=True)
        share = seen / np.maximum(1, total)
        entropy = -(share * np.log(np.where(share > 0, share, 1.0))).sum(2)
        most = np.log(np.minimum(pattern.count, np.maximum(1, total[..., 0])))
        return np.divide(entropy, most, out=np.full(entropy.shape, np.nan), where=most > 0)


def _furthest(values: Float[np.ndarray, "rows columns"], level: int) -> Float[np.ndarray, "rows pixels"]:
    """Of every ``2^level`` columns the value that is furthest from zero; the higher one where they tie."""
    low = high = values
    for _ in range(level):
        if low.shape[1] % 2:
            low, high = (np.concatenate([side, side[:, -1:]], axis=1) for side in (low, high))
        low = np.minimum(low[:, 0::2], low[:, 1::2])
        high = np.maximum(high[:, 0::2], high[:, 1::2])
    return np.where(-low > high, low, high)


def _pooled(values: np.ndarray, level: int) -> np.ndarray:
    """Sums over blocks of ``2^level`` values a side; smaller at the lower and right edges."""
    for axis in (0, 1):
        values = np.add.reduceat(values, np.arange(0, values.shape[axis], 1 << level), axis=axis)
    return values
