"""One linear's mask opened for looking at: tiles as bytes, the rulers beside it, and its weights where they are here.

Knows nothing about windows, cards or the browser; a picture and a page read the same source.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from hyperprune_lab.analysis.agreement import Agreement, agreement
from hyperprune_lab.analysis.linears import input_of
from hyperprune_lab.analysis.masktiles import TILE, MaskTiles, Tile, column_keep_rate, reference_mask
from hyperprune_lab.analysis.network import pinned
from hyperprune_lab.analysis.overviewtiles import OverviewTiles
from hyperprune_lab.analysis.scoretiles import ScoreTiles, WeightWindow
from hyperprune_lab.analysis.sources import Sources
from hyperprune_lab.errors import UserError
from hyperprune_lab.record.masks import PackedMask
from hyperprune_lab.record.reader import Run
from hyperprune_lab.views import theme

Against = Literal["none", "wanda", "magnitude", "reference"]
Side = Literal["ours", "theirs", "difference"]
Measure = Literal["keep_rate", "kept_score", "pattern"]

AGAINST: tuple[Against, ...] = ("wanda", "magnitude", "reference", "none")
SIDES: tuple[Side, ...] = ("ours", "theirs", "difference")
MEASURES: dict[Measure, str] = {
    "keep_rate": "keep-rate by column",
    "kept_score": "kept score",
    "pattern": "pattern",
}
MOST_COLORED_PATTERNS = 8
PATTERN_COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b3a400", "#7f7f7f")
OUTLIER_RATIO = 6.0
"""A channel is an outlier from this many times the median RMS on: the rule of calibration."""
WEIGHT_ROWS, WEIGHT_COLUMNS = 32, 64
"""Weights travel in pieces of this size."""

SHIFT_REACH = 0.5
"""Differences of keep-rates are colored up to here; larger ones are as rare as they are loud."""

_QUICK_WEIGHTS = 1 << 22
_SAMPLED_ROWS = 64


@dataclass(frozen=True, eq=False)
class Other:
    """The mask that this one is held against: ``label`` names it; without a ``mask``, ``problem`` says why."""

    against: Against
    label: str
    mask: PackedMask | None = None
    problem: str = ""


class MaskSource:
    """Safe to be read from several threads; nothing of the run is read again after it was made.

    ``version`` are the events of the decision and of the newest measurement that belongs to it.

    Raises:
        UserError: the mask is not on disk (yet).
    """

    def __init__(
        self,
        run: Run,
        module: str,
        version: tuple[int, int],
        against: Against = "none",
        reference: Run | None = None,
        sources: Sources | None = None,
    ) -> None:
        self.run, self.module, self.version = run, module, version
        self.name = ""
        """What a page calls this mask when it asks for tiles."""
        as_of = max(version)
        mask = run.packed_mask(module, as_of=as_of)
        self.evidence = run.evidence("module", module, as_of=as_of)
        self.other = _other(run, module, as_of, against, reference, mask)
        self.tiles = MaskTiles(mask)
        self.theirs = None if self.other.mask is None else MaskTiles(self.other.mask)
        self.overview = OverviewTiles(self.tiles, self.theirs)
        self.sources = sources
        self.pinned = pinned(run, module, as_of)
        measured = input_of(run, module, as_of)
        self.input_arrays = {} if measured is None else measured.arrays(run)
        self._lock = threading.RLock()
        self._score_tiles: dict[Side, ScoreTiles] = {}
        self._coarsest: dict[tuple[Measure, Side], Tile] = {}
        self._diversities: dict[tuple[Side, int, int, int], Tile] = {}

    # -- what there is

    @property
    def mask(self) -> PackedMask:
        return self.tiles.mask

    @property
    def has_weights(self) -> bool:
        """Whether weights, and so scores, can be shown."""
        return self._rms is not None and self.sources is not None and self.sources.has(self.module)

    @cached_property
    def agreement(self) -> Agreement | None:
        """How much both masks agree."""
        return None if self.other.mask is None else agreement(self.mask, self.other.mask)

    @cached_property
    def keep_rate(self) -> Float[np.ndarray, " in"]:
        """Share of the rows that keep each column."""
        return column_keep_rate(self.mask)

    @cached_property
    def their_keep_rate(self) -> Float[np.ndarray, " in"] | None:
        """The same of the other mask."""
        return None if self.other.mask is None else column_keep_rate(self.other.mask)

    @cached_property
    def row_errors(self) -> Float[np.ndarray, " out"] | None:
        """Error of each row over its own dense energy, where recorded; in older records over the mean row's.

        (Which share of its weights a row keeps tells nothing: it is n/m in every row.)
        """
        parts, energies = self.evidence.get("row_errors"), self.evidence.get("row_energies")
        if parts is None or parts.shape != self.mask.shape[:1]:
            return None
        if energies is None or energies.shape != parts.shape:
            return parts.astype(np.float64) * len(parts)
        return np.divide(parts, energies, out=np.full(len(parts), np.nan), where=energies > 0)

    @cached_property
    def loudness(self) -> Float[np.ndarray, " in"] | None:
        """RMS of each input channel over the median channel's, where its input was measured."""
        if self._rms is None:
            return None
        median = float(np.median(self._rms))
        return self._rms.astype(np.float64) / median if median > 0 else None

    @property
    def outliers(self) -> Int[np.ndarray, " outliers"]:
        """Columns that read an outlier channel."""
        if self.loudness is None:
            return np.zeros(0, np.int64)
        return np.flatnonzero(self.loudness >= OUTLIER_RATIO)

    @cached_property
    def score_domain(self) -> tuple[float, float] | None:
        """The scores that colors span, on a log scale: from the 2nd to the 99.9th percentile of sampled rows."""
        if not self.has_weights:
            return None
        rows, columns = self.mask.shape
        picked = np.linspace(0, rows - 1, min(rows, _SAMPLED_ROWS)).astype(int)
        assert self.sources is not None
        assert self._rms is not None
        scores = np.abs(self.sources.weight(self.module, picked, slice(0, columns))) * self._rms
        some = scores[scores > 0]
        if not some.size:
            return None
        low, high = (float(value) for value in np.quantile(some, [0.02, 0.999]))
        return max(low, high / 1e4), high

    # -- tiles

    def shown(self, measure: Measure, side: Side) -> str:
        """What coarse tiles show; level 0 always shows the mask itself."""
        if side == "difference":
            return "shifted" if measure == "keep_rate" else "changed"
        if measure == "kept_score" and self.has_weights:
            return "kept score"
        if measure == "pattern" and self.mask.pattern.enumerable:
            return "diversity"
        return "deviation"

    def tile(
        self, measure: Measure, side: Side, level: int, y: int, x: int, wait: bool = True
    ) -> Tile | None:
        """A coarse tile of one side; None, without ``wait``, where it takes long: ``prepare`` it, then ask again.

        Raises:
            UserError: there is no such tile, or no other side.
        """
        what = self.shown(measure, side)
        overview = self._overview(side)
        if what == "diversity":
            # Counted from level 0 alone, which is there from the beginning: nothing to lock.
            made = self._diversities.get((side, level, y, x))
            if made is None and (wait or overview.weights_behind(level) <= _QUICK_WEIGHTS):
                made = self._diversities[side, level, y, x] = overview.diversity(level, y, x)
            return made
        if what == "kept score" and wait:
            self.prepare(measure, side, level, y, x)
        with self._lock:
            if what == "kept score":
                return overview.kept_score(self._scores(side), level, y, x)
            if what == "shifted":
                return overview.shifted(level, y, x)
            return overview.changed(level, y, x) if what == "changed" else overview.deviation(level, y, x)

    def prepare(self, measure: Measure, side: Side, level: int, y: int, x: int) -> None:
        """Do what makes ``tile`` take long; up to a second, and other tiles can be had meanwhile."""
        what = self.shown(measure, side)
        if what == "diversity":
            self.tile(measure, side, level, y, x)
        elif what == "kept score":
            scores = self._scores(side)
            if level >= scores.base:
                scores.build()

    def coarsest(self, measure: Measure, side: Side) -> Tile:
        """The whole side in one tile; its keep-rates as long as the measure takes long."""
        made = self._coarsest.get((measure, side))
        if made is None:
            level = self.tiles.levels - 1
            made = self.tile(measure, side, level, 0, 0, wait=False)
            if made is None:
                return self.coarsest("keep_rate", side)
            self._coarsest[measure, side] = made
        return made

    def coded(self, tile: Tile) -> bytes:
        """Values of a coarse tile as one byte each: 0 unknown, 1 to 255 from the low to the high end of its scale."""
        if tile.measure in ("deviation", "shifted"):
            reach = SHIFT_REACH if tile.measure == "shifted" else self.reach
            share = (tile.values / reach + 1.0) / 2.0
        else:
            share = tile.values
        places = np.where(np.isnan(share), 0.0, 1.0 + 254.0 * np.clip(share, 0.0, 1.0))
        return np.rint(places).astype(np.uint8).tobytes()

    @property
    def reach(self) -> float:
        """How far a keep-rate can be from n/m."""
        density = self.mask.pattern.density
        return max(density, 1.0 - density)

    def bits(self, y: int, x: int) -> tuple[tuple[int, int], bytes]:
        """A tile of level 0: height and width, then the packed rows of this mask and of the other, if there is one."""
        height, width = self._tile_shape(y, x)
        rows = slice(y * TILE, y * TILE + height)
        columns = slice(x * TILE // 8, x * TILE // 8 + -(-width // 8))
        masks = [self.mask, *([self.other.mask] if self.other.mask is not None else [])]
        return (height, width), b"".join(
            np.ascontiguousarray(m.packed[rows, columns]).tobytes() for m in masks
        )

    def weights(self, y: int, x: int) -> tuple[tuple[int, int], bytes]:
        """A piece of weights: height and width, then weights and scores in fp32.

        Raises:
            UserError: there is no such piece, or the weights are not here.
        """
        height, width = self.mask.shape
        rows = slice(y * WEIGHT_ROWS, min(height, (y + 1) * WEIGHT_ROWS))
        columns = slice(x * WEIGHT_COLUMNS, min(width, (x + 1) * WEIGHT_COLUMNS))
        if not (0 <= rows.start < rows.stop and 0 <= columns.start < columns.stop):
            raise UserError(f"{self.module[:120]} has no weights at {rows.start}, {columns.start}.")
        window = self.window(rows, columns)
        shape = rows.stop - rows.start, columns.stop - columns.start
        return shape, b"".join(part.astype("<f4").tobytes() for part in (window.weights, window.scores))

    def rulers(self) -> tuple[bytes, bytes, bytes, bytes]:
        """Column keep-rates, the other mask's, row errors and loudness in fp32; empty where there are none."""
        found = (self.keep_rate, self.their_keep_rate, self.row_errors, self.loudness)
        keep, theirs, errors, loud = (b"" if v is None else v.astype("<f4").tobytes() for v in found)
        return keep, theirs, errors, loud

    def next_difference(self, row: int, group: int, backwards: bool = False) -> tuple[int, int] | None:
        """The next group, row by row, that the other mask decides otherwise; None if there is none left."""
        if self.other.mask is None:
            return None
        different = self.mask.packed ^ self.other.mask.packed
        rows = np.flatnonzero(different.any(1))
        width = self.mask.pattern.group
        for candidate in rows[rows <= row][::-1] if backwards else rows[rows >= row]:
            bits = np.unpackbits(different[candidate], bitorder="little")[: self.mask.in_features]
            groups = np.flatnonzero(bits.reshape(-1, width).any(1))
            if candidate == row:
                groups = groups[groups < group] if backwards else groups[groups > group]
            if groups.size:
                return int(candidate), int(groups[-1 if backwards else 0])
        return None

    def window(self, rows: slice, columns: slice) -> WeightWindow:
        """Weights, scores and mask of a window.

        Raises:
            UserError: the weights are not here.
        """
        return self._scores("ours").window(rows, columns)

    def codes(self, rows: slice, columns: slice) -> np.ndarray:
        """The masks in a window: 1 kept by this one, 2 by the other, 3 by both, 0 by neither."""
        with self._lock:
            codes = self.tiles.bits(rows, columns).astype(np.uint8)
            return codes if self.theirs is None else codes + 2 * self.theirs.bits(rows, columns)

    # -- inside

    @property
    def _rms(self) -> np.ndarray | None:
        rms = self.input_arrays.get("channel_rms")
        return rms if rms is not None and rms.shape == self.mask.shape[1:] else None

    def _overview(self, side: Side) -> OverviewTiles:
        if side != "theirs":
            return self.overview
        if self.theirs is None:
            raise UserError(self.other.problem or "There is no other mask to show.")
        return OverviewTiles(self.theirs)

    def _scores(self, side: Side) -> ScoreTiles:
        if not self.has_weights:
            reason = self.sources.reason if self.sources is not None else ""
            raise UserError(reason or f"The weights of {self.module[:120]!r} are not here.")
        if side not in self._score_tiles:
            assert self.sources is not None
            assert self._rms is not None
            self._score_tiles[side] = ScoreTiles(
                self._overview(side).tiles, self.module, self.sources, self._rms
            )
        return self._score_tiles[side]

    def _tile_shape(self, y: int, x: int) -> tuple[int, int]:
        height, width = self.mask.shape
        down, across = self.tiles.grid(0)
        if not (0 <= y < down and 0 <= x < across):
            raise UserError(f"There is no tile {y}, {x} of a mask of {[height, width]}.")
        return min(TILE, height - y * TILE), min(TILE, width - x * TILE)


def _other(
    run: Run, module: str, as_of: int, against: Against, reference: Run | None, mask: PackedMask
) -> Other:
    if against == "none":
        return Other(against, "")
    label = other_label(against, reference)
    try:
        if against != "reference":
            other = reference_mask(run, module, against, as_of=as_of)
        elif reference is None:
            return Other(against, label, problem="No reference run is chosen.")
        else:
            other = reference.packed_mask(module)
        if (other.pattern, other.shape) != (mask.pattern, mask.shape):
            theirs, ours = (f"{one.pattern} {list(one.shape)}" for one in (other, mask))
            return Other(against, label, problem=f"{label} decided {theirs} here, this run {ours}.")
    except UserError as error:
        return Other(against, label, problem=str(error))
    return Other(against, label, other)


def other_label(against: Against, reference: Run | None = None) -> str:
    """What to call the mask that this run's is held against."""
    if against == "reference":
        return "reference" if reference is None else theme.shown_name(reference.directory.root.name, 24)
    return "" if against == "none" else theme.method_style(against).label
