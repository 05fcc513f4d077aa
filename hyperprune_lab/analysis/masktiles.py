"""A mask at any zoom, cut into square tiles from its packed bits, and the rulers beside it.

Knows nothing about pixels' colors, and reads no weights.

A pixel of level L stands for ``2^L x 2^L`` weights. Averaging it would show nothing: every group keeps n of m, so any
whole groups average to n/m. Rows are therefore reduced first, into the keep-rate of each *column* over ``2^L`` rows,
and among a pixel's columns the one that deviates most from n/m is shown, with its sign.

Counting is done on packed bits: a level holds its counts as bit planes, and the next one adds pairs of rows plane by
plane, as a ripple-carry adder would, sixty-four columns an instruction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt, UInt8

from hyperprune_lab.errors import UserError
from hyperprune_lab.patterns import NMPattern
from hyperprune_lab.record.masks import PackedMask
from hyperprune_lab.record.reader import Run

TILE = 256
"""Pixels along a side of a tile."""

Packed = UInt8[np.ndarray, "rows bytes"]


@dataclass(frozen=True, eq=False)
class Tile:
    """``values[height, width]`` of one tile; at the lower and right edges it may be smaller than ``TILE``.

    ``level, y, x`` say what was asked for; ``shown_level`` is coarser where that level is not there and its parent
    stands in, each of whose pixels then fills several. ``measure`` names what ``values`` are.
    """

    level: int
    y: int
    x: int
    shown_level: int
    measure: str
    values: np.ndarray


class ColumnCounts:
    """How many bits are set in each column over every ``2^level`` rows; levels are made when first asked for.

    About three times the packed mask's memory if all levels are.
    """

    def __init__(self, packed: Packed, columns: int) -> None:
        # Whole words: the adder then works on 64 columns at once. The padding holds zeros and is never shown.
        words = -(-packed.shape[1] // 8)
        padded = np.zeros((len(packed), words * 8), np.uint8)
        padded[:, : packed.shape[1]] = packed
        self.rows, self.columns = len(packed), columns
        self._levels: list[list[np.ndarray]] = [[padded.view(np.uint64)]]

    def window(self, level: int, rows: slice, columns: slice) -> UInt[np.ndarray, "rows columns"]:
        """Counts of some rows of a level and some columns; slices have a start and a stop and no step.

        One byte each up to level 7, two beyond (level 16 and more would not fit: 65536 rows to a pixel).
        """
        first, last = columns.start // 8, -(-columns.stop // 8)
        skipped = columns.start % 8
        counts: np.ndarray | None = None
        for weight, plane in enumerate(self._planes(level)):
            some = np.ascontiguousarray(plane.view(np.uint8)[rows, first:last])
            bits = np.unpackbits(some, axis=1, bitorder="little")
            if weight == 8 and counts is not None:
                counts = counts.astype(np.uint16)
            if counts is None:
                counts = bits
            else:
                counts += np.left_shift(bits, weight, dtype=counts.dtype)
        assert counts is not None
        return counts[:, skipped : skipped + columns.stop - columns.start]

    def height(self, level: int) -> int:
        """Rows of a level."""
        return -(-self.rows // (1 << level))

    def covered(self, level: int, rows: slice) -> Int[np.ndarray, " rows"]:
        """How many of the mask's rows each of these rows of a level stands for."""
        first = np.arange(rows.start, rows.stop, dtype=np.int64) << level
        return np.minimum(self.rows - first, 1 << level)

    def _planes(self, level: int) -> list[np.ndarray]:
        while len(self._levels) <= level:
            self._levels.append(_halved(self._levels[-1]))
        return self._levels[level]


class MaskTiles:
    """One mask at every level, alone or against another one of the same linear.

    Level 0 has a weight a pixel, the last level fits into one tile. Building is lazy; a tile of a 4096 x 11008 mask
    takes a few milliseconds, the first one of a coarse level a few more.
    """

    def __init__(self, mask: PackedMask, other: PackedMask | None = None) -> None:
        if other is not None and (other.shape, other.pattern) != (mask.shape, mask.pattern):
            raise UserError(
                f"Masks of {mask.pattern} {list(mask.shape)} and {other.pattern} {list(other.shape)} "
                "cannot be laid over each other."
            )
        self.mask, self.other = mask, other
        self._ours = ColumnCounts(mask.packed, mask.in_features)
        self._theirs = None if other is None else ColumnCounts(other.packed, other.in_features)
        self._changed = None if other is None else ColumnCounts(mask.packed ^ other.packed, mask.in_features)

    @classmethod
    def of(
        cls,
        run: Run,
        module: str,
        stage: str | None = None,
        as_of: int | None = None,
        against: str | PackedMask | None = None,
    ) -> MaskTiles:
        """Tiles of a recorded mask, against ``wanda``, ``magnitude`` (where recorded) or any packed mask.

        Raises:
            UserError: the mask is not recorded (yet), or does not fit the other.
        """
        mask = run.packed_mask(module, stage, as_of)
        other = reference_mask(run, module, against, stage, as_of) if isinstance(against, str) else against
        return cls(mask, other)

    @property
    def pattern(self) -> NMPattern:
        return self.mask.pattern

    @property
    def counts(self) -> ColumnCounts:
        """The bits of this mask, counted by column."""
        return self._ours

    @property
    def levels(self) -> int:
        """How many levels there are."""
        return 1 + max(0, math.ceil(math.log2(max(*self.mask.shape, 1) / TILE)))

    def shape(self, level: int) -> tuple[int, int]:
        """Height and width of a whole level in pixels."""
        rows, columns = self.mask.shape
        return -(-rows // (1 << level)), -(-columns // (1 << level))

    def grid(self, level: int) -> tuple[int, int]:
        """How many tiles a level has down and across."""
        height, width = self.shape(level)
        return -(-height // TILE), -(-width // TILE)

    def chance(self, level: int) -> float:
        """Standard deviation of a column's keep-rate at this level if rows chose at random: read deviations by it."""
        density = self.pattern.density
        return math.sqrt(density * (1 - density) / min(1 << level, max(1, self.mask.shape[0])))

    def kept(self, y: int, x: int) -> Tile:
        """Level 0: true where a weight is kept."""
        rows, columns = self._place(0, y, x)
        return Tile(0, y, x, 0, "kept", self.bits(rows, columns))

    def deviation(self, level: int, y: int, x: int) -> Tile:
        """Signed extreme deviation of the column keep-rate from n/m within each pixel, fp32 in -n/m to 1 - n/m."""
        rows, columns = self._place(level, y, x)
        counts = self._ours.window(level, rows, columns)
        low, high = _extremes(counts, level)
        expected = self.pattern.density * self._ours.covered(level, rows)[:, None]
        values = _further(low - expected, high - expected) / self._ours.covered(level, rows)[:, None]
        return Tile(level, y, x, level, "deviation", values.astype(np.float32))

    def changed(self, level: int, y: int, x: int) -> Tile:
        """Share of the kept weights that the other mask does not keep, fp32 in 0 to 1. This one may be averaged.

        Over whole groups just as many weights are kept by the other mask only.
        """
        rows, columns = self._place(level, y, x)
        counts = self._both_counts()[1].window(level, rows, columns)
        sums = np.add.reduceat(counts, np.arange(0, counts.shape[1], 1 << level), axis=1, dtype=np.float32)
        weights = self._ours.covered(level, rows)[:, None] * _widths(counts.shape[1], level)
        values = sums / weights / (2 * self.pattern.density)
        return Tile(level, y, x, level, "changed", values.astype(np.float32))

    def shifted(self, level: int, y: int, x: int) -> Tile:
        """Signed extreme difference of column keep-rates, ours less the other's, fp32 in -1 to 1."""
        rows, columns = self._place(level, y, x)
        ours = self._ours.window(level, rows, columns).astype(np.int16)
        ours -= self._both_counts()[0].window(level, rows, columns).astype(np.int16)
        low, high = _extremes(ours, level)
        covered = self._ours.covered(level, rows)[:, None]
        return Tile(level, y, x, level, "shifted", (_further(low, high) / covered).astype(np.float32))

    def difference(self, y: int, x: int) -> Tile:
        """Level 0: 0 kept by neither, 1 only by this mask, 2 only by the other, 3 by both."""
        rows, columns = self._place(0, y, x)
        ours = self._ours.window(0, rows, columns).astype(np.uint8)
        theirs = self._both_counts()[0].window(0, rows, columns).astype(np.uint8)
        return Tile(0, y, x, 0, "difference", ours + 2 * theirs)

    def bits(self, rows: slice, columns: slice) -> Bool[np.ndarray, "rows columns"]:
        """The mask in a window, true where a weight is kept."""
        return self._ours.window(0, rows, columns).astype(bool)

    def pattern_ids(self, rows: slice, groups: slice) -> Int[np.ndarray, "rows groups"]:
        """Lexicographic number of each group's pattern in a window, a group a value."""
        group = self.pattern.group
        columns = slice(groups.start * group, groups.stop * group)
        return self.pattern.ids(self.bits(rows, columns))

    def column_keep_rate(self) -> Float[np.ndarray, " in"]:
        """Share of the rows that keep each column: the ruler above the mask, fp64."""
        return column_keep_rate(self.mask)

    def row_keep_rate(self) -> Float[np.ndarray, " out"]:
        """Share of the columns that each row keeps: n/m in every row, or the mask is broken. fp64."""
        return np.bitwise_count(self.mask.packed).sum(1, dtype=np.int64) / self.mask.in_features

    def parent(self, level: int, y: int, x: int) -> tuple[int, int, int]:
        """The tile of the next coarser level that holds this one."""
        return min(level + 1, self.levels - 1), *((y // 2, x // 2) if level + 1 < self.levels else (y, x))

    def _both_counts(self) -> tuple[ColumnCounts, ColumnCounts]:
        if self._theirs is None or self._changed is None:
            raise UserError("There is only one mask here: name another one to see where they differ.")
        return self._theirs, self._changed

    def _place(self, level: int, y: int, x: int) -> tuple[slice, slice]:
        """The rows of the level and the columns of the mask under a tile."""
        height, width = self.grid(level) if 0 <= level < self.levels else (0, 0)
        if not (0 <= y < height and 0 <= x < width):
            raise UserError(
                f"There is no tile {y}, {x} at level {level} of a mask of {list(self.mask.shape)}."
            )
        across = TILE << level
        rows = slice(y * TILE, min((y + 1) * TILE, self.shape(level)[0]))
        return rows, slice(x * across, min((x + 1) * across, self.mask.in_features))


def column_keep_rate(mask: PackedMask) -> Float[np.ndarray, " in"]:
    """Share of the rows that keep each column, fp64, without unpacking the mask as a whole."""
    rows, columns = mask.shape
    total = np.zeros(columns, np.int64)
    counts = ColumnCounts(mask.packed, columns)
    level = min(7, max(0, rows.bit_length() - 1))
    total += counts.window(level, slice(0, counts.height(level)), slice(0, columns)).sum(0, dtype=np.int64)
    return total / max(1, rows)


def reference_mask(
    run: Run, module: str, method: str, stage: str | None = None, as_of: int | None = None
) -> PackedMask:
    """Wanda's or magnitude's mask of a linear, on the same statistics, where the run recorded it.

    Raises:
        UserError: it was not recorded.
    """
    mask = run.packed_mask(module, stage, as_of)
    packed = run.evidence("module", module, stage, as_of).get(f"mask_{method}")
    if packed is None or packed.shape != mask.packed.shape:
        raise UserError(
            f"{run.directory.root} did not record the mask of {method[:40]} for {module}: "
            "record with full evidence, or compare with a run of that method."
        )
    return PackedMask(mask.pattern, mask.in_features, packed)


def _halved(planes: list[np.ndarray]) -> list[np.ndarray]:
    """Bit planes of the sums of pairs of rows; a last odd row is paired with nothing."""
    if len(planes[0]) % 2:
        planes = [np.concatenate([plane, np.zeros_like(plane[:1])]) for plane in planes]
    carry: np.ndarray | None = None
    added = []
    for plane in planes:
        one, two = plane[0::2], plane[1::2]
        either = one ^ two
        if carry is None:
            added.append(either)
            carry = one & two
        else:
            added.append(either ^ carry)
            carry = (one & two) | (either & carry)
    assert carry is not None
    return [*added, carry]


def _extremes(counts: np.ndarray, level: int) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest value among the ``2^level`` columns of each pixel, fewer at the right edge."""
    low = high = counts
    for _ in range(level):
        if low.shape[1] % 2:
            low, high = (np.concatenate([side, side[:, -1:]], axis=1) for side in (low, high))
        low = np.minimum(low[:, 0::2], low[:, 1::2])
        high = np.maximum(high[:, 0::2], high[:, 1::2])
    return low, high


def _further(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Whichever is further from zero; the higher one where they tie."""
    return np.where(-low > high, low, high)


def _widths(columns: int, level: int) -> Int[np.ndarray, " pixels"]:
    first = np.arange(0, columns, 1 << level, dtype=np.int64)
    return np.minimum(columns - first, 1 << level)
