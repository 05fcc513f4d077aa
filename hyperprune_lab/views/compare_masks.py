"""Where two runs decided differently: the model grid, one number a module.

Knows nothing about tables or words. Without another run the mask is held against Wanda's, as the run itself recorded
it in numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hyperprune_lab.analysis.module_grid import GridRow, Status, module_grid
from hyperprune_lab.analysis.pairs import compare_masks
from hyperprune_lab.record.reader import Run
from hyperprune_lab.views import theme

TELLS = 3
"""So many of the most different are named."""
WANDA = "wanda"


@dataclass(frozen=True)
class MapMeasure:
    """What a cell's color says. A difference goes from 0 to 1; a ratio stands around 1."""

    name: str
    label: str
    ratio: bool
    form: Callable[[float | None], str]

    @property
    def domain(self) -> tuple[float, float]:
        return theme.RATIO_DOMAIN if self.ratio else theme.SHARE_DOMAIN

    def place(self, value: float) -> float:
        """0 to 1 along the domain."""
        low, high = self.domain
        if self.ratio:
            low, high, value = math.log(low), math.log(high), math.log(max(value, 1e-12))
        return min(1.0, max(0.0, (value - low) / (high - low)))

    def weight(self, value: float) -> float:
        """How different it is: a ratio as far from 1 in either direction."""
        return abs(math.log(max(value, 1e-12))) if self.ratio else value


MEASURES = {
    measure.name: measure
    for measure in (
        MapMeasure("patterns", "groups that differ", False, theme.fmt_share),
        MapMeasure("weights", "kept weights that differ", False, theme.fmt_share),
        MapMeasure("error", "error over the other's", True, theme.fmt_ratio),
    )
}


@dataclass(frozen=True)
class MapCell:
    """One module, or all experts of one kind (``modules``), whose largest difference stands for them."""

    modules: tuple[str, ...]
    row: int
    block: int
    status: Status
    value: float | None
    reason: str = ""


@dataclass(frozen=True)
class MaskMap:
    """The grid. ``other`` is a run's name, or a mask beside the run's own; ``left`` modules are still to be read."""

    measure: MapMeasure
    other: str
    rows: tuple[tuple[str, int], ...]
    blocks: int
    cells: tuple[MapCell, ...]
    overall: float | None
    left: int
    problem: str = ""

    @property
    def most(self) -> tuple[MapCell, ...]:
        """The most different, in order."""
        known = [(self.measure.weight(cell.value), cell) for cell in self.cells if cell.value is not None]
        known.sort(key=lambda one: (-one[0], one[1].block, one[1].row))
        return tuple(cell for weight, cell in known[:TELLS] if weight > 0)

    def name_of(self, cell: MapCell) -> str:
        """Where it is, in few words."""
        return f"block {cell.block} {theme.shown_name(self.rows[cell.row][0], 40)}"

    def payload(self) -> dict[str, Any]:
        return {
            "measure": self.measure.name,
            "label": self.measure.label,
            "ratio": self.measure.ratio,
            "other": self.other,
            "rows": [[theme.shown_name(name, 40), experts] for name, experts in self.rows],
            "blocks": self.blocks,
            "cells": [
                [
                    c.modules,
                    c.row,
                    c.block,
                    c.status,
                    None if c.value is None else round(c.value, 5),
                    c.reason,
                ]
                for c in self.cells
            ],
            "overall": self.overall,
            "left": self.left,
            "problem": self.problem,
            "most": [
                [self.cells.index(cell), self.name_of(cell), self.measure.form(cell.value)]
                for cell in self.most
            ],
        }


def mask_map(
    run: Run,
    other: Run | None,
    measure: str,
    as_of: int | None = None,
    problem: str = "",
    deadline: float | None = None,
) -> MaskMap:
    """``run`` against ``other``, or without one against Wanda's mask; with a ``problem`` the grid is empty.

    Raises:
        UserError: a record is damaged.
    """
    kind = MEASURES[measure]
    values: dict[str, float] = {}
    sizes: dict[str, float] = {}
    left = 0
    if not problem:
        values, sizes, left = _values(run, other, kind, as_of, deadline)
        if not values and not left:
            problem = _nothing(run, other, kind, as_of)
    grid = module_grid(run, as_of)
    rows, places = _folded(grid.rows)
    members: dict[tuple[int, int], list[Any]] = {}
    for cell in grid.cells:
        members.setdefault((places[cell.row], cell.block), []).append(cell)
    cells = []
    for (row, block), some in members.items():
        known = [
            (kind.weight(values[one.module]), values[one.module]) for one in some if one.module in values
        ]
        first = next((one for one in some if one.status != "excluded"), some[0])
        value = max(known)[1] if known else None
        cells.append(
            MapCell(tuple(one.module for one in some), row, block, first.status, value, first.reason)
        )
    name = WANDA if other is None else other.directory.root.name
    return MaskMap(kind, name, rows, grid.blocks, tuple(cells), _overall(values, sizes, kind), left, problem)


def _values(
    run: Run, other: Run | None, kind: MapMeasure, as_of: int | None, deadline: float | None
) -> tuple[dict[str, float], dict[str, float], int]:
    """By module: the measure, and how much it counts; and how many modules are still to be read."""
    left = 0
    if other is not None and not kind.ratio:
        pair = compare_masks(run, other, as_of, deadline)
        left = pair.left
        table = pair.table.dropna(subset=kind.name)
        found = (1 - table[kind.name]).tolist()
        sizes = table["groups"].astype(float).tolist()
    else:
        table = run.modules(as_of=as_of)
        if other is None:
            column = "error_rel_wanda" if kind.ratio else "agreement_wanda"
            if column not in table or kind.name == "weights":
                return {}, {}, 0
        else:
            theirs = other.modules()
            if "error_rel" not in table or "error_rel" not in theirs:
                return {}, {}, 0
            table = table.merge(theirs[["module", "error_rel"]], on="module", suffixes=("", "_theirs"))
            column = "error_rel_theirs"
        table = table.dropna(subset=column)
        if kind.ratio:
            table = table[(table[column] > 0) & (table["error_rel"] > 0)]
            found = (table["error_rel"] / table[column]).tolist()
        else:
            found = (1 - table[column]).tolist()
        sizes = (table["out_features"] * table["in_features"]).astype(float).tolist()
    modules = table["module"].tolist()
    return dict(zip(modules, found, strict=True)), dict(zip(modules, sizes, strict=True)), left


def _overall(values: dict[str, float], sizes: dict[str, float], kind: MapMeasure) -> float | None:
    """The share over all groups; of ratios the geometric mean over modules."""
    if not values:
        return None
    if kind.ratio:
        return math.exp(sum(math.log(value) for value in values.values()) / len(values))
    total = sum(sizes[module] for module in values)
    return sum(value * sizes[module] for module, value in values.items()) / total if total else None


def _nothing(run: Run, other: Run | None, kind: MapMeasure, as_of: int | None) -> str:
    if not run.newest_seq(("ModuleDecided",), as_of):
        return "No mask is decided yet."
    if other is None:
        return f"Pin a reference: {kind.label} is not recorded against Wanda's mask."
    return "No module was decided by both."


def _folded(rows: tuple[GridRow, ...]) -> tuple[tuple[tuple[str, int], ...], dict[int, int]]:
    """Rows with experts of one kind as one, each with how many they are; and where each row of the grid went."""
    names: dict[str, int] = {}
    counts: dict[str, int] = {}
    places = {}
    for number, row in enumerate(rows):
        name = row.fold or row.name
        places[number] = names.setdefault(name, len(names))
        counts[name] = counts.get(name, 0) + 1
    folded = {row.fold for row in rows if row.fold}
    return tuple((name, counts[name] if name in folded else 0) for name in names), places
