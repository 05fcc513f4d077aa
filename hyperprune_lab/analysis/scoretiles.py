"""How much of the score a mask kept, at any zoom, and the weights themselves at level 0.

Knows nothing about colors. Reads the dense weights, so it exists only where they do (see ``sources``).

The score is Wanda's, squared: ``(W_ij rms_j)^2``, the energy that a weight gives its output if inputs were
uncorrelated. Its kept share is no constant of the pattern, so it may be averaged, and a pixel of level L is the share
over its ``2^L x 2^L`` weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from hyperprune_lab.analysis.linears import input_of
from hyperprune_lab.analysis.masktiles import TILE, MaskTiles, Tile
from hyperprune_lab.analysis.sources import Sources
from hyperprune_lab.errors import UserError
from hyperprune_lab.record.reader import Run

_BASE_PIXELS = 1 << 20
_AT_ONCE = 1 << 22


@dataclass(frozen=True, eq=False)
class WeightWindow:
    """Weights of a window ``[rows, columns]``: signed ``weights``, ``scores`` (``|W| rms``), and which are ``kept``."""

    weights: Float[np.ndarray, "rows columns"]
    scores: Float[np.ndarray, "rows columns"]
    kept: Bool[np.ndarray, "rows columns"]


class ScoreTiles:
    """Kept-score share of one linear. Coarse levels are summed once, by ``build``; fine ones are read as asked for."""

    def __init__(
        self, tiles: MaskTiles, module: str, sources: Sources, rms: Float[np.ndarray, " in"]
    ) -> None:
        self.tiles, self.module, self.sources = tiles, module, sources
        self.rms = rms.astype(np.float32)
        rows, columns = tiles.mask.shape
        self.base = 0
        while (rows >> self.base) * (columns >> self.base) > _BASE_PIXELS:
            self.base += 1
        self._sums: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    @classmethod
    def of(
        cls, run: Run, module: str, tiles: MaskTiles, sources: Sources, as_of: int | None = None
    ) -> ScoreTiles:
        """The tiles of a recorded linear.

        Raises:
            UserError: its weights are not here, or its input was not measured (yet).
        """
        if not sources.has(module):
            raise UserError(sources.reason or f"The weights of {module[:120]!r} are not here.")
        measured = input_of(run, module, as_of)
        rms = None if measured is None else measured.arrays(run).get("channel_rms")
        if rms is None or rms.shape != (tiles.mask.in_features,):
            raise UserError(f"What {module[:120]!r} reads was not measured (yet).")
        return cls(tiles, module, sources, rms)

    @property
    def ready(self) -> bool:
        """Whether the coarse levels have been summed."""
        return self.base in self._sums

    def build(self) -> None:
        """Read the whole weight once and sum the coarse levels; half a second for 4096 x 11008."""
        if self.ready:
            return
        rows, columns = self.tiles.mask.shape
        height, width = self.tiles.shape(self.base)
        kept, total = (np.zeros((height, width), np.float32) for _ in range(2))
        band = max(1, _AT_ONCE // max(1, columns) >> self.base) << self.base
        for first in range(0, rows, band):
            last = min(rows, first + band)
            part = slice(first >> self.base, -(-last // (1 << self.base)))
            kept[part], total[part] = self._summed(slice(first, last), slice(0, columns), self.base)
        self._sums[self.base] = kept, total

    def share(self, level: int, y: int, x: int, wait: bool = True) -> Tile:
        """Kept share of the score, fp32 in 0 to 1, NaN where nothing could be kept.

        With ``wait`` False nothing large is read: where a level is not there yet, its nearest parent that is fills
        in, each of its pixels for several; where none is, the tile is NaN throughout.
        """
        rows, columns = self.tiles.mask.shape
        height, width = self.tiles.shape(level)
        down, across = (
            slice(y * TILE, min((y + 1) * TILE, height)),
            slice(x * TILE, min((x + 1) * TILE, width)),
        )
        if not (0 <= down.start < down.stop and 0 <= across.start < across.stop):
            raise UserError(f"There is no tile {y}, {x} at level {level} of a mask of {[rows, columns]}.")
        if wait and level < self.base:
            window = [
                slice(part.start << level, min(part.stop << level, end))
                for part, end in ((down, rows), (across, columns))
            ]
            kept, total = self._summed(window[0], window[1], level)
            return Tile(level, y, x, level, "kept score", _share(kept, total))
        if wait:
            self.build()
        if not self.ready:
            blank = np.full((down.stop - down.start, across.stop - across.start), np.nan, np.float32)
            return Tile(level, y, x, self.tiles.levels, "kept score", blank)
        shown = max(level, self.base)
        kept, total = self._level(shown)
        values = _share(kept, total)
        lower = shown - level
        picked = np.ix_(
            np.arange(down.start, down.stop) >> lower, np.arange(across.start, across.stop) >> lower
        )
        return Tile(level, y, x, shown, "kept score", values[picked])

    def window(self, rows: slice, columns: slice) -> WeightWindow:
        """Weights, scores and mask of a window at full resolution."""
        weights = self.sources.weight(self.module, rows, columns)
        return WeightWindow(weights, np.abs(weights) * self.rms[columns], self.tiles.bits(rows, columns))

    def _summed(self, rows: slice, columns: slice, level: int) -> tuple[np.ndarray, np.ndarray]:
        window = self.window(rows, columns)
        energy = np.square(window.scores)
        return _pooled(energy * window.kept, level), _pooled(energy, level)

    def _level(self, level: int) -> tuple[np.ndarray, np.ndarray]:
        if level not in self._sums:
            kept, total = self._level(level - 1)
            self._sums[level] = _pooled(kept, 1), _pooled(total, 1)
        return self._sums[level]


def _pooled(values: np.ndarray, level: int) -> Float[np.ndarray, "rows columns"]:
    """Sums over squares of ``2^level`` values a side; smaller at the lower and right edges."""
    for _ in range(level):
        for axis in (0, 1):
            if values.shape[axis] % 2:
                values = np.concatenate([values, np.zeros_like(values.take([0], axis))], axis)
        values = values[0::2] + values[1::2]
        values = values[:, 0::2] + values[:, 1::2]
    return values


def _share(kept: np.ndarray, total: np.ndarray) -> Float[np.ndarray, "rows columns"]:
    return np.divide(kept, total, out=np.full_like(kept, np.nan), where=total > 0)
