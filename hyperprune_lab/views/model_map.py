"""The model map, "Which layers lost most?": every module of every block as a cell, from its recorded measures.

Knows neither the browser nor how a run is written.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from hyperprune_lab.analysis.linears import measured_inputs
from hyperprune_lab.analysis.module_grid import GridCell, ModuleGrid, module_grid
from hyperprune_lab.record.reader import RecordedEvent, Run
from hyperprune_lab.views import theme
from hyperprune_lab.views.measures import MEASURES, ModuleMeasure

WORST_MARKED = 3
WORST_SET = 10


@dataclass(frozen=True)
class MapCell:
    """One module, or the experts of one kind in one block folded into their worst.

    ``value`` is None while unknown; ``rank`` counts from the end that deserves a look. ``members`` are the experts
    behind a folded cell, ``median`` is theirs.
    """

    module: str
    row: int
    block: int
    status: str
    value: float | None = None
    rank: int | None = None
    clamped: int = 0
    wanda: float | None = None
    shape: tuple[int, ...] = ()
    pattern: str | None = None
    reason: str = ""
    notice: str = ""
    members: tuple[str, ...] = ()
    median: float | None = None

    @property
    def modules(self) -> tuple[str, ...]:
        """Every module behind the cell."""
        return self.members or (self.module,)


@dataclass(frozen=True)
class MapRow:
    """Modules of one kind. ``experts`` counts those folded into a cell; ``fold`` is the row that folds this one."""

    name: str
    group: str
    experts: int = 0
    expanded: bool = False
    fold: str | None = None


@dataclass(frozen=True)
class ModelMapData:
    """Everything the model map shows as of event ``seq``.

    ``order`` are all modules with a value, the one that deserves a look first; ``values`` theirs. ``seconds`` is the
    time spent on each block so far, ``running_block`` the block that is being worked on.
    """

    run: str
    seq: int
    measure: ModuleMeasure
    domain: tuple[float, float]
    fitted: bool
    blocks: int
    rows: tuple[MapRow, ...]
    cells: tuple[MapCell, ...]
    order: tuple[str, ...]
    values: tuple[float, ...]
    pruned: int
    decided: int
    outside: Mapping[str, int]
    sets: Mapping[str, tuple[str, ...]]
    seconds: Mapping[int, float]
    stage: str | None = None
    running_block: int | None = None
    selection: tuple[str, ...] = ()
    scope: Mapping[str, str] = field(default_factory=dict)

    @property
    def worst(self) -> list[MapCell]:
        """The cells that carry their numbers."""
        marked = [cell for cell in self.cells if cell.rank is not None and cell.rank <= WORST_MARKED]
        return sorted({cell.module: cell for cell in marked}.values(), key=lambda cell: cell.rank or 0)

    @property
    def worst_of_blocks(self) -> dict[int, MapCell]:
        """By block: its cell of best rank."""
        found: dict[int, MapCell] = {}
        for cell in sorted((c for c in self.cells if c.rank is not None), key=lambda c: c.rank or 0):
            found.setdefault(cell.block, cell)
        return dict(sorted(found.items()))

    @property
    def focus(self) -> MapCell | None:
        """The cell of the first selected module."""
        if not self.selection:
            return None
        found = [cell for cell in self.cells if self.selection[0] in cell.modules]
        return next((cell for cell in found if not cell.members), found[0] if found else None)


def model_map_data(
    run: Run,
    *,
    as_of: int | None = None,
    measure: str = "error_rel",
    selection: Iterable[str] = (),
    scope: Mapping[str, str] | None = None,
    expanded: Iterable[str] = (),
    fit: bool = False,
) -> ModelMapData:
    """The grid of a run as of event ``as_of`` (default: now), colored by ``measure`` (see ``MEASURES``).

    ``expanded`` names rows whose experts are shown one by one; with ``fit`` the colors span what was measured
    instead of the fixed domain.

    Raises:
        UserError: the record is damaged.
    """
    seq = run.last_seq if as_of is None else as_of
    chosen = MEASURES[measure]
    marks = _marks(run, seq)
    modules = run.modules(as_of=seq)
    grid = module_grid(run, seq, frozenset(modules["module"]))
    seconds = _seconds(marks)
    modules = modules.assign(seconds=[seconds.get(block, float("nan")) for block in modules["block"]])
    modules = modules.assign(value=chosen.values(modules)).set_index("module")
    measured = modules.to_dict("index")
    sign = -1.0 if chosen.high_is_worse else 1.0
    valued = modules["value"].dropna()
    order = tuple(sorted(valued.index, key=lambda name: (sign * valued[name], name)))
    domain = chosen.fitted(list(valued)) if fit else chosen.domain
    singles = _singles(
        grid, measured, {name: rank for rank, name in enumerate(order, 1)}, domain, _notices(marks)
    )
    rows, cells = _folded(grid, singles, frozenset(expanded))
    stage, block = _running(marks)
    return ModelMapData(
        run=run.directory.root.name,
        seq=seq,
        measure=chosen,
        domain=domain,
        fitted=fit,
        blocks=grid.blocks,
        rows=rows,
        cells=cells,
        order=order,
        values=tuple(valued[name] for name in order),
        pruned=sum(cell.status != "excluded" for cell in grid.cells),
        decided=len(measured),
        outside=grid.outside,
        sets=_sets(run, seq, grid, measured, order, chosen),
        seconds=seconds,
        stage=stage,
        running_block=block,
        selection=tuple(selection),
        scope=dict(scope or {}),
    )


# -- from the record

_MARKS = ("StageStarted", "BlockStarted", "BlockFinished", "StageFinished", "Notice")
_ENDS = ("RunStopped", "RunFailed", "RunFinished")


def _marks(run: Run, seq: int) -> list[RecordedEvent]:
    return [event for event in run.events(kinds=(*_MARKS, *_ENDS)) if event.seq <= seq]


def _seconds(marks: list[RecordedEvent]) -> dict[int, float]:
    spent: Counter[int] = Counter()
    for event in marks:
        if event.kind == "BlockFinished" and event.block is not None:
            spent[event.block] += event.payload.get("seconds", 0.0)
    return dict(spent)


def _notices(marks: list[RecordedEvent]) -> dict[str, str]:
    told = [event.payload for event in marks if event.kind == "Notice"]
    return {payload["module"]: str(payload["message"]) for payload in told if payload.get("module")}


def _running(marks: list[RecordedEvent]) -> tuple[str | None, int | None]:
    stage: str | None = None
    block: int | None = None
    for event in marks:
        if event.kind in ("StageStarted", "BlockStarted", "BlockFinished"):
            stage, block = event.stage, event.block if event.kind == "BlockStarted" else None
        elif event.kind != "Notice":
            stage, block = None, None
    return stage, block


def _singles(
    grid: ModuleGrid,
    measured: Mapping[Any, Mapping[Any, Any]],
    ranks: Mapping[str, int],
    domain: tuple[float, float],
    notices: Mapping[str, str],
) -> list[MapCell]:
    def single(cell: GridCell) -> MapCell:
        known = measured.get(cell.module, {})
        value = _number(known.get("value"))
        clamped = 0 if value is None else int(value > domain[1]) - int(value < domain[0])
        return MapCell(
            module=cell.module,
            row=cell.row,
            block=cell.block,
            status=cell.status,
            value=value,
            rank=ranks.get(cell.module),
            clamped=clamped,
            wanda=_number(known.get("error_rel_wanda")),
            shape=cell.shape,
            pattern=known.get("pattern", cell.pattern),
            reason=cell.reason,
            notice=notices.get(cell.module, ""),
        )

    return [single(cell) for cell in grid.cells]


def _number(value: Any) -> float | None:
    return None if value is None or value != value else float(value)


def _folded(
    grid: ModuleGrid, singles: list[MapCell], expanded: frozenset[str]
) -> tuple[tuple[MapRow, ...], tuple[MapCell, ...]]:
    """Rows and cells as drawn: experts as one row, and one by one below it where that is expanded."""
    by_row: dict[int, list[MapCell]] = {}
    for cell in singles:
        by_row.setdefault(cell.row, []).append(cell)
    by_fold: dict[str, dict[int, list[MapCell]]] = {}
    for number, row in enumerate(grid.rows):
        for cell in by_row.get(number, []):
            if row.fold is not None:
                by_fold.setdefault(row.fold, {}).setdefault(cell.block, []).append(cell)
    rows: list[MapRow] = []
    cells: list[MapCell] = []
    for number, row in enumerate(grid.rows):
        if row.fold is not None and all(one.name != row.fold for one in rows):
            experts = by_fold[row.fold]
            rows.append(MapRow(row.fold, row.group, max(map(len, experts.values())), row.fold in expanded))
            cells += [_stand_in(members, len(rows) - 1) for members in experts.values()]
        if row.fold is None or row.fold in expanded:
            rows.append(MapRow(row.name, row.group, fold=row.fold))
            cells += [_in_row(cell, len(rows) - 1) for cell in by_row.get(number, [])]
    return tuple(rows), tuple(cells)


def _in_row(cell: MapCell, row: int, **changes: Any) -> MapCell:
    return MapCell(**{**vars(cell), "row": row, **changes})


def _stand_in(members: list[MapCell], row: int) -> MapCell:
    """The worst expert in the name of all."""
    ranked = sorted((cell for cell in members if cell.rank is not None), key=lambda cell: cell.rank or 0)
    values = [cell.value for cell in ranked if cell.value is not None]
    return _in_row(
        (ranked or members)[0],
        row,
        members=tuple(cell.module for cell in members),
        median=median(values) if values else None,
    )


def _sets(
    run: Run,
    seq: int,
    grid: ModuleGrid,
    measured: Mapping[Any, Mapping[Any, Any]],
    order: tuple[str, ...],
    measure: ModuleMeasure,
) -> dict[str, tuple[str, ...]]:
    """Named sets of modules, for one click; empty ones are left out."""
    pruned = [cell for cell in grid.cells if cell.status != "excluded"]
    loud = {
        module
        for one in measured_inputs(run, seq)
        if one.scalars.get("outlier_channels", 0) > 0
        for module in one.modules
    }
    beaten = [
        name
        for name, row in measured.items()
        if row.get("error_rel", 0.0) > row.get("error_rel_wanda", float("inf"))
    ]
    left = [name for name, row in measured.items() if row.get("decided_by_network") == 0]
    sets = {
        "attention": [c.module for c in pruned if grid.rows[c.row].group == "attention"],
        "MLP": [c.module for c in pruned if grid.rows[c.row].group == "MLP"],
        f"{measure.extreme} {WORST_SET}": order[:WORST_SET],
        "outlier inputs": [c.module for c in pruned if c.module in loud],
        "worse than Wanda": beaten,
        "left to the prior": left,
    }
    return {name: tuple(modules) for name, modules in sets.items() if modules}


# -- what it says


def payload(data: ModelMapData) -> dict[str, Any]:
    """What the browser draws."""
    names = {cell.module: number for number, cell in enumerate(data.cells)}
    return {
        "measure": {
            "name": data.measure.name,
            "label": data.measure.label,
            "scale": data.measure.scale,
            "colors": data.measure.colors,
            "format": data.measure.format_name,
            "extreme": data.measure.extreme,
        },
        "domain": data.domain,
        "fitted": data.fitted,
        "blocks": data.blocks,
        "rows": [vars(row) for row in data.rows],
        "cells": [_cell_payload(cell) for cell in data.cells],
        "count": len(data.order),
        "worst": [names[cell.module] for cell in data.worst],
        "margin": [[block, names[cell.module]] for block, cell in data.worst_of_blocks.items()],
        "sets": {name: list(modules) for name, modules in data.sets.items()},
        "seconds": data.seconds,
        "outside": _outside(data),
    }


def _cell_payload(cell: MapCell) -> dict[str, Any]:
    """Short and without what is empty: there are thousands of cells in a large model."""
    full = {
        "module": cell.module,
        "row": cell.row,
        "block": cell.block,
        "status": cell.status,
        "value": cell.value,
        "rank": cell.rank,
        "clamped": cell.clamped,
        "wanda": cell.wanda,
        "shape": cell.shape,
        "pattern": cell.pattern,
        "reason": cell.reason,
        "notice": cell.notice,
        **_members_payload(cell.members),
        "median": cell.median,
    }
    return {
        name: value
        for name, value in full.items()
        if value not in (None, "", (), 0) or name in ("row", "block", "value")
    }


def _members_payload(members: tuple[str, ...]) -> dict[str, Any]:
    """Experts as what stands before and after their number, with their count; by name only if that does not do."""
    if not members:
        return {}
    for number in re.finditer(r"(?<=\.)0(?=\.)", members[0]):
        before, after = members[0][: number.start()], members[0][number.end() :]
        if members == tuple(f"{before}{n}{after}" for n in range(len(members))):
            return {"fold": (before, after, len(members))}
    return {"members": members}


def _outside(data: ModelMapData) -> str:
    return ", ".join(f"{count} × {theme.shown_name(reason)}" for reason, count in data.outside.items())


def text(data: ModelMapData) -> str:
    """The map in words."""
    measure = data.measure
    ends = f"{measure.form(data.domain[0])} to {measure.form(data.domain[1])}"
    colors = f"colors {'fitted to' if data.fitted else 'span'} {ends}, {measure.scale} scale"
    lines = [f"{data.run}, event {data.seq}: {measure.label}; {colors}"]
    lines.append(f"{data.decided} of {data.pruned} modules in {data.blocks} blocks decided{_whole(data)}")
    if data.running_block is not None:
        lines.append(f"stands at: {data.stage}, block {data.running_block}")
    if data.values:
        lines.append(f"{measure.extreme}: " + "; ".join(_named(cell, measure) for cell in data.worst))
        lines.append(f"median {measure.form(median(data.values))}, other end {measure.form(data.values[-1])}")
        blocks = data.worst_of_blocks.items()
        lines.append(
            f"{measure.extreme} of each block: "
            + " · ".join(f"{b}: {measure.form(c.value)}" for b, c in blocks)
        )
    elif data.decided:
        lines.append(f"{measure.label}: {theme.NOT_YET} measured in this run")
    excluded = Counter(cell.reason for cell in data.cells if cell.status == "excluded")
    lines += [f"not pruned: {count} × {theme.shown_name(reason)}" for reason, count in excluded.items()]
    if data.outside:
        lines.append(f"left dense by design: {_outside(data)}")
    lines += [f"failed: {theme.shown_name(c.module)}: {c.reason}" for c in data.cells if c.status == "failed"]
    lines += [f"notice: {theme.shown_name(c.module)}: {c.notice}" for c in data.cells if c.notice]
    if data.selection:
        lines += _selected(data)
    if data.scope:
        changes = "; ".join(f"{theme.shown_name(module)}: {what}" for module, what in data.scope.items())
        lines.append(f"scope of a next run: {changes}")
    return "\n".join(lines)


def _whole(data: ModelMapData) -> str:
    waiting = data.pruned - data.decided
    return f", {waiting} {theme.NOT_YET}" if waiting else ""


def _named(cell: MapCell, measure: ModuleMeasure) -> str:
    return f"{theme.shown_name(cell.module)} {measure.form(cell.value)}"


def _selected(data: ModelMapData) -> list[str]:
    cell = data.focus
    more = f" (and {len(data.selection) - 1} more)" if len(data.selection) > 1 else ""
    if cell is None:
        return [f"selected: {theme.shown_name(data.selection[0])}{more}, which this run does not know"]
    told = " · ".join(f"{label} {value}" for label, value in facts(data, cell))
    return [f"selected{more}: {theme.shown_name(cell.module)}: {told}"]


def facts(data: ModelMapData, cell: MapCell) -> list[tuple[str, str]]:
    """What there is to say about one cell: label and value."""
    measure = data.measure
    if cell.status == "excluded":
        return [("shape", " × ".join(map(str, cell.shape))), ("not pruned", cell.reason)]
    rank = theme.NONE if cell.rank is None else f"{cell.rank} of {len(data.order)}, {measure.extreme} first"
    value = theme.NOT_YET if cell.value is None else measure.form(cell.value)
    told = [
        ("shape", " × ".join(map(str, cell.shape))),
        ("pattern", cell.pattern or theme.NONE),
        (measure.label, value),
        ("rank", rank),
        ("Wanda's error", theme.fmt_error(cell.wanda) if cell.status == "decided" else theme.NOT_YET),
        ("time on its block", theme.fmt_seconds(data.seconds.get(cell.block))),
    ]
    if cell.members:
        told.append((f"median of {len(cell.members)} experts", measure.form(cell.median)))
    if cell.status == "failed":
        told.append(("failed", cell.reason))
    if cell.notice:
        told.append(("notice", cell.notice))
    if cell.module in data.scope:
        told.append(("scope", data.scope[cell.module]))
    return told


def table(data: ModelMapData) -> list[dict[str, Any]]:
    """One row per cell, for spreadsheets."""
    return [
        {
            "module": cell.module,
            "block": cell.block,
            "kind": data.rows[cell.row].name,
            "status": cell.status,
            "shape": " x ".join(map(str, cell.shape)),
            "pattern": cell.pattern,
            data.measure.name: cell.value,
            "rank": cell.rank,
            "error_rel_wanda": cell.wanda,
            "block_seconds": data.seconds.get(cell.block),
            "experts": len(cell.members) or None,
            "median_of_experts": cell.median,
            "reason": cell.reason,
        }
        for cell in data.cells
    ]


def picture(data: ModelMapData, theme_name: theme.Theme = "light") -> Any:
    """The map as a matplotlib figure."""
    from hyperprune_lab.views.model_map_picture import draw_map

    return draw_map(data, theme_name)
