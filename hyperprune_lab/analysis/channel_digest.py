"""Channels of whole models in little room: each input's loudest by name, the rest as a grid, sums for every threshold.

Knows nothing about scatter plots. A model has a million channels; who looks at all of them wants the loud ones and a
shading for the crowd, and may move the threshold without reading the record again. What was read of a block is kept
until the record says something new about it.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from hyperprune_lab.analysis.linears import panel_name
from hyperprune_lab.analysis.outliers import MASKS, channels, readers
from hyperprune_lab.analysis.sources import Sources, open_sources
from hyperprune_lab.record.reader import Run

THRESHOLDS: tuple[float, ...] = (
    *(1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0, 7.5, 8.0, 9.0, 10.0),
    *(12.0, 14.0, 16.0, 18.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0),
)
"""The thresholds, in medians, for which sums are kept."""
ROWS = 800
"""So many of an input's channels are kept by name."""
GRID = (60, 40)
"""Cells of the crowd's grid: along log ratio within ``RATIOS``, along keep-rate from 0 to 1."""
RATIOS = (0.1, 100.0)
_BLOCKS_KEPT = 512
_RATES = tuple(f"{name}{mask}" for name in ("keep_rate", "neighbors") for mask in MASKS)
_ENERGIES = tuple(f"kept_energy{mask}" for mask in MASKS)
_SUMMED = (*_RATES, *_ENERGIES)


@dataclass(frozen=True, eq=False)
class InputDigest:
    """The channels of one distinct input.

    ``kind`` is the input's name without block and expert numbers. ``loud`` are rows of ``outliers.channels``, the
    loudest first. ``crowd`` counts all other channels on the grid (rows: ratio, columns: keep-rate; what lies
    outside stands in the outermost cells). ``reached`` counts channels at or above each of ``THRESHOLDS``;
    ``sums[threshold, quantity, (weight, weighted)]`` are those channels' sums for the means of ``step_table``.
    ``silent`` channels have no ratio, because no channel of the input is alive.
    """

    block: int
    input: str
    kind: str
    modules: tuple[str, ...]
    channels: int
    silent: int
    density: float
    loud: pd.DataFrame
    crowd: Int[np.ndarray, "ratios rates"]
    reached: Int[np.ndarray, " thresholds"]
    sums: Float[np.ndarray, "thresholds quantities 2"]


@dataclass(frozen=True, eq=False)
class Digests:
    """All measured inputs whose block is finished, in order of depth; ``left`` blocks are still to be read.

    ``exact`` says that kept energies are those of the weights themselves, and known of the other masks as well.
    """

    inputs: tuple[InputDigest, ...]
    left: int
    exact: bool


class _Kept:
    """What was read of one run; of each block, as it stood at several events."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.blocks: OrderedDict[object, tuple[InputDigest, ...]] = OrderedDict()
        self.sources: Sources | None = None
        self.looked = False


_OF_RUNS: WeakKeyDictionary[Run, _Kept] = WeakKeyDictionary()
_MAKING = threading.Lock()


def digests(run: Run, as_of: int | None = None, seconds: float | None = None) -> Digests:
    """The channels of a run as of an event. What was read once is kept as long as ``run`` is; safe between threads.

    With ``seconds`` reading stops when that time is over, after one more block at least; asked again, it goes on.

    Raises:
        UserError: the record is damaged.
    """
    with _MAKING:
        kept = _OF_RUNS.setdefault(run, _Kept())
    with kept.lock:
        if not kept.looked:
            # Read along only where they are few, and surely the run's own.
            sources = open_sources(run)
            kept.sources = sources if sources.identity == "same bytes" else None
            kept.looked = True
        end = None if seconds is None else time.monotonic() + seconds
        found: list[InputDigest] = []
        left, read = 0, 0
        generation = run.generation
        for block, filed in filed_blocks(run, as_of):
            key = (generation, block, filed)
            if key not in kept.blocks:
                if end is not None and read and time.monotonic() > end:
                    left += 1
                    continue
                kept.blocks[key] = _of_block(run, block, filed, kept.sources)
                read += 1
            kept.blocks.move_to_end(key)
            found += kept.blocks[key]
        while len(kept.blocks) > _BLOCKS_KEPT:
            kept.blocks.popitem(last=False)
        return Digests(tuple(found), left, kept.sources is not None)


def filed_blocks(run: Run, as_of: int | None) -> list[tuple[int, int]]:
    """Finished blocks in order of depth, each with the event that filed its newest arrays.

    Replayed, a block appears at the event at which it appeared in the run: arrays come with the file that ends a block.
    """
    newest: dict[int, int] = {}
    for file in run.artefacts():
        known = file.kind in ("masks", "evidence") and (as_of is None or file.seq <= as_of)
        if known and file.block is not None:
            newest[file.block] = max(newest.get(file.block, 0), file.seq)
    return sorted(newest.items())


def step_table(digests: Sequence[InputDigest]) -> pd.DataFrame:
    """What became of outlier channels at each of ``THRESHOLDS``, over all of these inputs.

    Columns ``threshold, count, inputs`` (those with an outlier), the means ``keep_rate, neighbors, kept_energy`` and
    their counterparts ``_wanda, _magnitude``; NaN where there is nothing to average. The same numbers as
    ``outliers.summary`` gives for one threshold (``neighbors`` is its price).
    """
    shape = (len(THRESHOLDS), len(_SUMMED), 2)
    sums = sum((digest.sums for digest in digests), np.zeros(shape))
    reached = [digest.reached for digest in digests] or [np.zeros(len(THRESHOLDS), np.int64)]
    weights = np.where(sums[:, :, 0] > 0, sums[:, :, 0], np.nan)
    table = pd.DataFrame(sums[:, :, 1] / weights, columns=list(_SUMMED))
    table.insert(0, "inputs", np.sum([counts > 0 for counts in reached], axis=0))
    table.insert(0, "count", np.sum(reached, axis=0))
    table.insert(0, "threshold", THRESHOLDS)
    return table


def grid_counts(
    ratio: Float[np.ndarray, " n"], rate: Float[np.ndarray, " n"]
) -> Int[np.ndarray, "ratios rates"]:
    """Channels in each cell of the grid; what lies outside counts in the outermost cells, NaN nowhere."""
    known = np.isfinite(ratio) & np.isfinite(rate)
    low, high = np.log10(RATIOS)
    with np.errstate(divide="ignore"):
        across = (np.log10(ratio[known]) - low) / (high - low)
    counts = np.zeros(GRID, np.int64)
    x, y = (
        np.clip(np.floor(np.clip(share, 0, 1) * cells).astype(np.int64), 0, cells - 1)
        for share, cells in zip((across, rate[known]), GRID, strict=True)
    )
    np.add.at(counts, (x, y), 1)
    return counts


def _of_block(run: Run, block: int, as_of: int, sources: Sources | None) -> tuple[InputDigest, ...]:
    table = readers(run, [block], as_of, sources)
    return tuple(_digest(block, str(name), part) for name, part in table.groupby("input", sort=False))


def _digest(block: int, name: str, table: pd.DataFrame) -> InputDigest:
    every = channels(table).sort_values("rms_over_median", ascending=False, kind="stable", na_position="last")
    loud, rest = every.head(ROWS).reset_index(drop=True), every.iloc[ROWS:]
    ratio = every["rms_over_median"].to_numpy(float)
    return InputDigest(
        block=block,
        input=name,
        kind=panel_name(name),
        modules=tuple(dict.fromkeys(table["module"])),
        channels=len(every),
        silent=int(np.isnan(ratio).sum()),
        density=float(table["density"].mean()),
        loud=loud,
        crowd=grid_counts(rest["rms_over_median"].to_numpy(float), rest["keep_rate"].to_numpy(float)),
        reached=_from_above(_step(ratio), np.ones(len(ratio))).astype(np.int64),
        sums=_sums(table),
    )


def _sums(table: pd.DataFrame) -> Float[np.ndarray, "thresholds quantities 2"]:
    step = _step(table["rms_over_median"].to_numpy(float))
    energy = table["energy" if "energy" in table else "rows"].to_numpy(float)
    rows = table["rows"].to_numpy(float)
    parts = []
    for name in _SUMMED:
        value = table[name].to_numpy(float) if name in table else np.full(len(table), np.nan)
        weight = energy if name in _ENERGIES else rows
        weight = np.where(np.isfinite(value) & (weight > 0), weight, 0.0)
        weighted = np.where(weight > 0, weight * np.nan_to_num(value), 0.0)
        parts.append(np.stack([_from_above(step, weight), _from_above(step, weighted)], axis=-1))
    return np.stack(parts, axis=1)


def _step(ratio: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """How many of the thresholds each ratio reaches."""
    return np.where(np.isnan(ratio), 0, np.searchsorted(THRESHOLDS, ratio, side="right"))


def _from_above(
    step: Int[np.ndarray, " n"], value: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " thresholds"]:
    """For each threshold, the sum over all that reach it."""
    by_step = np.bincount(step, value, minlength=len(THRESHOLDS) + 1)
    return np.cumsum(by_step[::-1])[::-1][1:]
