"""The modules of a run as a grid: blocks across, kinds of modules down, with what became of each.

Knows nothing about what was measured, nor about pictures: the model map, and whatever compares runs on its grid,
stand on it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from hyperprune_lab.analysis.linears import local_name
from hyperprune_lab.record.reader import Run

Status = Literal["decided", "waiting", "excluded", "failed"]
GROUPS = ("attention", "MLP", "other")

FOLD_FROM = 3
"""Experts of one kind share a row from this many in a block on."""

_ATTENTION = re.compile(r"(^|[._])(\w*attn\w*|\w*attention\w*|[qkvo]_proj|qkv\w*)([._]|$)", re.IGNORECASE)
_MLP = re.compile(
    r"(^|[._])(mlp|ffn|feed_forward|\w*experts?|moe|fc\d*|gate\w*|up_proj|down_proj|dense_\w+)([._]|$)",
    re.IGNORECASE,
)
_EXPERT = re.compile(r"(?<![^.])(experts?)\.\d+(?![^.])")


@dataclass(frozen=True)
class GridCell:
    """One module. ``row`` is its row when everything is unfolded; ``reason`` says why it is excluded or failed."""

    module: str
    row: int
    block: int
    status: Status
    shape: tuple[int, ...]
    pattern: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class GridRow:
    """Modules of one kind, one per block. ``fold`` is the row that stands for all experts of the kind, if any."""

    name: str
    group: str
    fold: str | None = None


@dataclass(frozen=True)
class ModuleGrid:
    """All modules that are matrices, by row and block; ``outside`` counts the other parameters by reason."""

    blocks: int
    rows: tuple[GridRow, ...]
    cells: tuple[GridCell, ...]
    outside: Mapping[str, int]


def module_grid(run: Run, as_of: int | None = None, decided: Collection[str] | None = None) -> ModuleGrid:
    """The grid of a run as of event ``as_of`` (default: now); known before anything is decided.

    ``decided`` names the modules that were decided by then, for who has read them already.

    Raises:
        UserError: the record is damaged.
    """
    coverage = run.started.get("coverage", [])
    seq = run.last_seq if as_of is None else as_of
    if decided is None:
        decided = {str(e.subject) for e in run.events(kinds=("ModuleDecided",)) if e.seq <= seq}
    failed = {
        e.payload["module"]: str(e.payload.get("cause", ""))
        for e in run.events(kinds=("RunFailed",))
        if e.seq <= seq and e.payload.get("module")
    }
    inside = [row for row in coverage if _is_inside(row)]
    cells = [_cell(row, decided, failed) for row in inside]
    rows = _rows(cells)
    index = {row.name: number for number, row in enumerate(rows)}
    placed = tuple(replace(cell, row=index[local_name(cell.module, cell.block)]) for cell in cells)
    outside = Counter(str(row.get("reason", "")) for row in coverage if not _is_inside(row))
    return ModuleGrid(1 + max((cell.block for cell in cells), default=-1), rows, placed, dict(outside))


def _is_inside(row: Mapping[str, Any]) -> bool:
    return row.get("block") is not None and len(row.get("shape", (0, 0))) >= 2


def _cell(row: Mapping[str, Any], decided: Collection[str], failed: Mapping[str, str]) -> GridCell:
    module, status, reason = str(row["name"]), "waiting", ""
    if row.get("status") != "pruned":
        module, status, reason = module.removesuffix(".weight"), "excluded", str(row.get("reason", ""))
    elif module in failed:
        status, reason = "failed", failed[module]
    elif module in decided:
        status = "decided"
    shape = tuple(int(size) for size in row.get("shape", ()))
    return GridCell(module, 0, int(row["block"]), status, shape, row.get("pattern"), reason)  # type: ignore[arg-type]


def _rows(cells: list[GridCell]) -> tuple[GridRow, ...]:
    """Rows in the order of the model, attention first; experts of one kind one after the other."""
    names = list(dict.fromkeys(local_name(cell.module, cell.block) for cell in cells))
    folds = {name: _EXPERT.sub(r"\1.*", name) for name in names}
    experts = Counter(folds.values())
    first = {fold: place for place, fold in reversed(list(enumerate(folds.values())))}
    order = sorted(names, key=lambda name: (GROUPS.index(_group(name)), first[folds[name]]))
    return tuple(
        GridRow(name, _group(name), folds[name] if experts[folds[name]] >= FOLD_FROM else None)
        for name in order
    )


def _group(name: str) -> str:
    if _ATTENTION.search(name):
        return "attention"
    return "MLP" if _MLP.search(name) else "other"
